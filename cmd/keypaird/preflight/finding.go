package preflight

import (
	"slices"
	"sync"

	"keypaird/renew"
)

// A Finding is the result of one check.
type Finding struct {
	Check   string `json:"check"`   // "ca", "account", "store", "http-01", "dns-01", "dns-persist-01", "external", "caa", "tlsa", "deploy", "identity", "configuration"
	Subject string `json:"subject"` // what was checked
	Result  Result `json:"result"`
	Detail  string `json:"detail,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// A Result is how a check went.
type Result string

// Results.
const (
	Good    Result = "ok"
	Warning Result = "warning"
	Failed  Result = "failed"
)

// sideBySide runs tasks, a few at a time, and returns their findings in order.
func sideBySide(tasks []func() []Finding) []Finding {
	results := make([][]Finding, len(tasks))
	slots := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for i, task := range tasks {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i] = task()
		})
	}
	wg.Wait()
	return slices.Concat(results...)
}

// finding makes a Finding of how a check ended.
func finding(check, subject, detail string, err error) Finding {
	if err == nil {
		return Finding{Check: check, Subject: subject, Result: Good, Detail: detail}
	}
	return Finding{Check: check, Subject: subject, Result: Failed, Detail: err.Error(), Remedy: renew.Remedy(err)}
}
