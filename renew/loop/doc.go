// Package loop runs passes at the times when something is due. It knows names of
// targets and times, and nothing of what a pass does.
package loop
