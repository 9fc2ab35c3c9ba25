package preflight

import (
	"net/netip"
	"slices"
	"sync"

	"keypaird/renew"
)

// A Finding is the result of one check.
type Finding struct {
	Check   string `json:"check"`   // "configuration", "ca", "account", "dns", "http-01", "tls-alpn-01", "dns-01", "dns-persist-01", "caa", "renewal-info", "store", "external", "tlsa", "deploy", "identity", "fleet"
	Subject string `json:"subject"` // what was checked
	Result  Result `json:"result"`
	Detail  string `json:"detail,omitempty"`
	Remedy  string `json:"remedy,omitempty"`

	Addr netip.Addr `json:"-"` // the address checked by http-01 or tls-alpn-01; zero in all others
}

// A Result is the result of a check.
type Result string

// Results.
const (
	Good    Result = "ok"
	Warning Result = "warning"
	Failed  Result = "failed"
)

// runAll runs tasks, at most 16 at a time, and returns their findings in order.
func runAll(tasks []func() []Finding) []Finding {
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

// distinct returns findings without those that are there already: what holds for a name
// is found for each target that has it.
func distinct(all []Finding) (list []Finding) {
	known := map[Finding]bool{}
	for _, f := range all {
		if !known[f] {
			known[f], list = true, append(list, f)
		}
	}
	return list
}

// finding returns the Finding of a check that ended with err; detail is for success.
func finding(check, subject, detail string, err error) Finding {
	if err == nil {
		return Finding{Check: check, Subject: subject, Result: Good, Detail: detail}
	}
	return Finding{Check: check, Subject: subject, Result: Failed, Detail: err.Error(), Remedy: renew.Remedy(err)}
}
