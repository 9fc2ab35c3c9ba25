package child

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"keypaird/renew/fleet/wire"
)

// Times within wire.Limit.
const (
	requestLimit = 6 * time.Second
	tryLimit     = 3 * time.Second         // of one of two tries of what may be repeated
	readyLimit   = 1500 * time.Millisecond // in which an endpoint is connected to
	probeLimit   = 3 * time.Second
	checkEvery   = time.Minute // whether the engine was restored
)

// A connection is to one engine, with the settings of one Open.
type connection struct {
	settings wire.Settings
	tls      *tls.Config // nil: without TLS
	user     string      // as etcd sees it, for messages
	notAfter time.Time   // of our certificate; zero: none

	ctx  context.Context // of the goroutines of the client; ends with the connection
	end  func()
	back chan struct{} // the connection has come back

	mu     sync.Mutex
	client *clientv3.Client // nil: not logged in yet
	states sync.WaitGroup
	ended  bool

	probing sync.Mutex
	probed  []probe
	at      time.Time // of the probes

	history history
}

// connect returns a connection, which ends with ctx or by close. Nothing is sent yet.
func connect(ctx context.Context, s wire.Settings) (*connection, *wire.Failure) {
	c := &connection{settings: s, user: s.User, back: make(chan struct{}, 1)}
	c.ctx, c.end = context.WithCancel(ctx)
	wrong := func(remedy, format string, args ...any) (*connection, *wire.Failure) {
		return nil, &wire.Failure{Kind: wire.Other, Text: fmt.Sprintf(format, args...), Remedy: remedy}
	}
	if s.Prefix == "" || len(s.Endpoints) == 0 {
		return wrong(`write in [fleet]: engine = ["https://HOST:2379"], prefix = "/keypaird/NAME/"`, "the engine has no endpoints or no prefix")
	}
	secure := false
	for _, endpoint := range s.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Port() == "" {
			return wrong("write https://HOST:2379", "%q is no endpoint of an engine", endpoint)
		}
		if u.Scheme == "http" && secure || u.Scheme == "https" && !secure && endpoint != s.Endpoints[0] {
			return wrong("write https:// for all", "some endpoints of the engine have TLS and some have not")
		}
		secure = u.Scheme == "https"
	}
	if !secure {
		return c, nil
	}
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if len(s.CA) > 0 {
		c.tls.RootCAs = x509.NewCertPool()
		if !c.tls.RootCAs.AppendCertsFromPEM(s.CA) {
			return wrong("name the certificate of the engine's CA, in PEM, as ca", "there is no certificate in the file of the engine's CA")
		}
	}
	if len(s.Cert)+len(s.Key) > 0 {
		pair, err := tls.X509KeyPair(s.Cert, s.Key)
		if err != nil {
			return wrong("name a certificate and its key, in PEM, as cert and key", "the client certificate for the engine: %v", err)
		}
		c.tls.Certificates = []tls.Certificate{pair}
		c.notAfter = pair.Leaf.NotAfter
		if c.user == "" {
			c.user = pair.Leaf.Subject.CommonName
		}
	}
	return c, nil
}

// etcd returns the client. With a password it logs in first.
func (c *connection) etcd() (*clientv3.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, context.Canceled
	}
	if c.client != nil {
		return c.client, nil
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: c.settings.Endpoints, TLS: c.tls, Username: c.settings.User, Password: c.settings.Password,
		DialTimeout:       tryLimit,
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
		MaxCallSendMsgSize: wire.MaxLine, // the engine has a lower limit of its own
		Logger:             zap.NewNop(),
	})
	switch {
	case err == nil:
		c.client = client
		c.states.Go(func() { c.watchState(client.ActiveConnection()) })
	case !unanswered(err):
		err = fmt.Errorf("%w: %w", errLogin, err)
	}
	return client, err
}

var errLogin = errors.New("the engine refuses the user or the password")

// limit bounds a request. It ends early if no endpoint can be connected to: clientv3 would
// wait for one.
func limit(ctx context.Context, client *clientv3.Client, most time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, most)
	timer := time.AfterFunc(readyLimit, func() {
		if client.ActiveConnection().GetState() != connectivity.Ready {
			cancel()
		}
	})
	return ctx, func() { timer.Stop(); cancel() }
}

// watchState wakes watch when the client has connected again.
func (c *connection) watchState(conn *grpc.ClientConn) {
	for state := conn.GetState(); conn.WaitForStateChange(c.ctx, state); {
		if state = conn.GetState(); state != connectivity.Ready {
			continue
		}
		select {
		case c.back <- struct{}{}:
		default:
		}
	}
}

// close ends what is under way.
func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.end()
	c.history.end(errSettings)
	if c.client != nil {
		_ = c.client.Close()
	}
	c.states.Wait()
}

var errSettings = errors.New("the settings of the engine have changed")

// key returns what the engine calls a key.
func (c *connection) key(name string) string { return c.settings.Prefix + name }

// name returns what keypaird calls a key of the engine.
func (c *connection) name(key []byte) string { return string(key[len(c.settings.Prefix):]) }

// try calls f, and again if a member does not answer.
func (c *connection) try(ctx context.Context, f func(context.Context, *clientv3.Client) error) error {
	client, err := c.etcd()
	if err != nil {
		return err
	}
	for range requestLimit / tryLimit {
		trying, cancel := limit(ctx, client, tryLimit)
		err = f(trying, client)
		late := trying.Err() == context.DeadlineExceeded
		cancel()
		if err == nil || !late || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// watch asks from time to time whether the engine was restored from a backup: those who
// follow would hear nothing. It asks at once when the connection has come back.
func (c *connection) watch() {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
		case <-c.back:
		}
		prefix, follows := c.history.following()
		if !follows {
			continue
		}
		_ = c.try(c.ctx, func(ctx context.Context, client *clientv3.Client) error {
			return c.revision(ctx, client, prefix, 0)
		})
	}
}
