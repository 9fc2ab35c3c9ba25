//go:build !linux && !openbsd

package confine

func restrict(Keep) (means string, err error) { return "", nil }
