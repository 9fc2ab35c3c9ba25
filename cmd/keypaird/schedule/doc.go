// Package schedule says when passes run and deployments may begin, by the cron lines of
// the configuration.
//
// The package is pure: it starts nothing and reads no clock.
package schedule
