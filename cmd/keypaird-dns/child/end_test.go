package child

import (
	"testing"
	"testing/synctest"
)

// At the end of input, or at a signal, the child announces its exit immediately, even
// if the provider hangs: the parent kills a child that does not.
func TestSendsEnding(t *testing.T) {
	t.Setenv("LEGO_DISABLE_CNAME_SUPPORT", "true")
	for name, end := range map[string]func(*session){"end of input": (*session).end, "signal": func(s *session) { s.signal() }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{release: make(chan struct{})}
				s := start(t, f)
				defer s.end()
				s.ask(open)
				s.send(op("present", "slow.example"))
				synctest.Wait()
				end(s)
				if line, err := s.out.ReadString('\n'); err != nil || line != "{\"ending\":true}\n" {
					t.Errorf("sent %q, %v", line, err)
				}
				close(f.release)
				if a := s.receive(); a.FQDN == "" {
					t.Errorf("answer %+v", a)
				}
				if err := s.wait(); err != nil || f.published() != "" {
					t.Errorf("serve = %v, left %q", err, f.published())
				}
			})
		})
	}
}
