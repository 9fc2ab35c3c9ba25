package child

import (
	"keypaird/cmd/keypaird-names/message"
	"keypaird/hooks/discover"
	"keypaird/hooks/discover/report"
	"keypaird/hooks/verify"
)

// needsOf returns an answer of discovery for "keypaird check -live".
func needsOf(a discover.Answer) *message.Needs {
	n := &message.Needs{}
	for _, r := range a.Requirements {
		n.Requirements = append(n.Requirements, message.Requirement{
			Service: r.Service, Role: r.Role, Identity: r.Identity,
			Endpoint: r.Endpoint.Full(), Host: r.Endpoint.Host, Addrs: r.Addrs, Accept: r.Accept, NoWildcard: r.NoWildcard,
			CheckedBy: r.CheckedBy, Enforcement: string(r.Enforcement),
			Lacks: r.Lacks(), Missing: r.Default && r.State == discover.Absent && r.Enforcement == discover.Must,
			Undetermined: r.State == discover.Undetermined, Why: r.Why,
		})
	}
	for _, p := range a.Problems {
		if p.Error {
			n.Problems = append(n.Problems, message.Problem{Service: p.Service, Text: p.Text, Remedy: p.Remedy})
		}
	}
	return n
}

// machineOf returns the machine of an answer for "keypaird init".
func machineOf(a discover.Answer) *message.Machine {
	m := report.MachineOf(a)
	machine := &message.Machine{Host: m.Host, Services: m.Services}
	for _, n := range m.Names {
		machine.Names = append(machine.Names, n.Name)
	}
	if m.Host != "" {
		machine.TLSA = tlsaNames(rowsOf(m, m.Host), m.Host)
	}
	return machine
}

// checksOf returns the checks of deployments for "keypaird check -live".
func checksOf(rows []verify.Check) (list []message.Check) {
	for _, r := range rows {
		c := message.Check{
			Target: r.Target, Deployment: r.Deployment, Endpoint: r.Endpoint, Name: r.Name,
			OK: r.Result == verify.OK, Warning: r.Result == verify.Warning, Error: r.Error, Remedy: r.Remedy, Unreachable: r.Unreachable(),
		}
		if r.Shown != nil {
			c.Fingerprint, c.NotAfter = r.Shown.Fingerprint, r.Shown.NotAfter
		}
		list = append(list, c)
	}
	return list
}
