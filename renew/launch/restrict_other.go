//go:build !linux && !openbsd

package launch

func restrict(Keep) (mechanism string, err error) { return "", nil }

func confineServer() error { return nil }

var missing = []string{"this system has no means but users and limits: a child may use every file that its user may"}
