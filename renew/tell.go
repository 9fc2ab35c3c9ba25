package renew

import (
	"context"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
)

// cry tells what is to be told of jobs. It is told at least once: what could not
// be recorded is told again. When a command waits, or the one that tells fails,
// the others are told of by the next pass.
func (p *Pass) cry(ctx context.Context, jobs []*job) {
	if p.Crier == nil {
		return
	}
	type saying struct {
		kind  Kind
		where string
	}
	var order []saying
	groups := map[saying][]*job{}
	for _, j := range jobs {
		n, ok := p.notice(j)
		if !ok {
			continue
		}
		s := saying{kind: n.Kind}
		if n.Kind != Recovered {
			s.where = p.where(j)
		}
		if groups[s] == nil {
			order = append(order, s)
		}
		groups[s] = append(groups[s], j)
	}
	for _, s := range order {
		if p.yielding(ctx) || !p.tell(ctx, groups[s]) {
			return
		}
	}
}

// Hindered tells that no pass can be made, daily at most.
func (p *Pass) Hindered(ctx context.Context, targets []Target, err error) {
	jobs := make([]*job, len(targets))
	for i, t := range targets {
		jobs[i] = &job{Target: t, broken: err, hindered: true}
	}
	p.cry(ctx, jobs)
}

// where is what a job is told of for.
func (p *Pass) where(j *job) string {
	if j.broken != nil {
		return "state"
	}
	where, _ := j.state.trouble(p.now(), j.Target)
	return where
}

// notice says what is to be told of a job now.
func (p *Pass) notice(j *job) (Notice, bool) {
	now := p.now()
	unread := p.Crier.unread[j.Name]
	if j.broken != nil {
		n := Notice{Kind: Failing, Target: j.Name, Error: "reading its state: " + oneLine(j.broken), Remedy: Remedy(j.broken)}
		if j.hindered {
			n.Error = "no pass could be made: " + oneLine(j.broken)
		}
		return n, recent(unread.Failing, now) && !unread.Attempt.waits(now)
	}
	n, ok := notice(now, j.Target, j.state)
	ok = ok || p.readAgain(j)
	if id, err := p.Store.LiveID(j.Name); ok && err == nil {
		n.Version = id
		if leaf := j.state.InUse; leaf != nil {
			n.Fingerprint = fmt.Sprintf("%x", sha256.Sum256(leaf.Raw))
		}
	}
	return n, ok && !j.state.Record.Told.Attempt.waits(now)
}

// readAgain reports whether somebody heard that a state could not be read, and
// not yet that it can, and that all is well.
func (p *Pass) readAgain(j *job) bool {
	if p.Crier == nil || p.Crier.unread[j.Name].Failing.IsZero() {
		return false
	}
	kind, last := alarm(p.now(), j.Target, j.state)
	return kind == "" && last.Failures == 0
}

// port is the one that a connection of ours had, another one each time.
var port = regexp.MustCompile(`:[0-9]+->`)

// oneVoice has notices say the same: what the first one does, and that others
// had more to say.
func oneVoice(notices []Notice) {
	texts := map[string]bool{}
	for _, n := range notices {
		texts[port.ReplaceAllString(n.Error, "->")] = true
	}
	said := notices[0]
	if more := len(texts) - 1; more > 0 {
		said.Error += fmt.Sprintf("; and %d more, which keypaird status shows", more)
	}
	for i := range notices {
		notices[i].Error, notices[i].Remedy = said.Error, said.Remedy
	}
}

// tell tells of jobs that are in one trouble, and remembers. It reports whether
// somebody heard.
func (p *Pass) tell(ctx context.Context, jobs []*job) bool {
	notices := make([]Notice, len(jobs))
	names := make([]string, len(jobs))
	for i, j := range jobs {
		notices[i], _ = p.notice(j)
		names[i] = j.Name
	}
	oneVoice(notices)
	err := p.notify(ctx, notices)
	if ctx.Err() != nil {
		return false // told again by the next run
	}
	var again Attempt // for all of them together
	if err != nil {
		now := p.now() // as if time had run out: an hour at most
		again = p.told(jobs[0]).Attempt.failed(err, now, now)
		p.Log.Error("nobody told", "event", string(notices[0].Kind), "certs", strings.Join(names, " "), "err", err, "remedy", Remedy(err))
	} else {
		p.Log.Info("told", "event", string(notices[0].Kind), "certs", strings.Join(names, " "))
	}
	for i, j := range jobs {
		p.keepTold(j, notices[i], again)
	}
	return err == nil
}

// told is what was told of a job, as far as that is on record.
func (p *Pass) told(j *job) Told {
	if j.broken != nil {
		return p.Crier.unread[j.Name]
	}
	return j.state.Record.Told
}

// keepTold records that n was told, or when it is tried again.
func (p *Pass) keepTold(j *job, n Notice, again Attempt) {
	if j.broken != nil {
		told := p.told(j)
		if told.Attempt = again; again.Failures == 0 {
			told.Failing = p.now()
		}
		if p.Crier.unread == nil {
			p.Crier.unread = map[string]Told{}
		}
		p.Crier.unread[j.Name] = told
		return
	}
	if again.Failures > 0 {
		j.state.Record.Told.Attempt = again
	} else {
		j.state.Record.told(n, p.now())
		delete(p.Crier.unread, j.Name) // what is wrong now, if anything is, is on record
	}
	if err := p.save(j); err != nil {
		p.Log.Warn("what was told is not recorded", "cert", j.Name, "err", err)
	}
}

func (p *Pass) notify(ctx context.Context, notices []Notice) (err error) {
	defer p.recovered(&err, "event", string(notices[0].Kind))
	return p.Crier.Notifier.Notify(ctx, notices)
}
