// Package problem makes errors that come with a remedy: what the operator can
// do about them.
//
//	return problem.New("port 80 is in use", "stop what uses it, or set [http-01] listen")
//	return problem.Wrap(fmt.Errorf("reloading %s: %w", name, err), "run the command by hand")
//
// Message and remedy are one line each, lower case, without a full stop. An
// error has a type of its own only where a caller branches on it or reads its
// facts; such a type takes part by a method Remedy() string.
//
// The package prints nothing, and no code decides by the text of an error.
package problem
