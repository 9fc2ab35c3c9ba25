package backoff

// A Step is a part of the work for a target that is tried again when it fails.
type Step struct {
	Kind StepKind
	Name string // of the CA or the deployment; "": any, or the kind has none
}

// A StepKind is the kind of a step.
type StepKind string

// Kinds of steps.
const (
	Obtain  StepKind = "obtaining" // a certificate from a CA
	Import  StepKind = "importing its files"
	Deploy  StepKind = "deploying"
	Compare StepKind = "comparing TLSA records"
)

// String names the step for the operator.
func (s Step) String() string {
	switch {
	case s.Name == "":
		return string(s.Kind)
	case s.Kind == Obtain:
		return "obtaining from " + s.Name
	}
	return string(s.Kind) + " to " + s.Name
}
