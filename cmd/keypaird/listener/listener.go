package listener

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"keypaird/acme/http01"
	"keypaird/acme/responder/front"
	"keypaird/acme/tlsalpn01"
	"keypaird/renew/launch"
	"keypaird/renew/problem"
	"keypaird/renew/status"
)

// Command is the argument of the program that makes it the listener.
const Command = "listener"

// A Kind is a service of the listener.
type Kind string

// The questions of each are tokens, server names, and status.Pages.
const (
	HTTP01    Kind = "http-01"
	TLSALPN01 Kind = "tls-alpn-01"
	Page      Kind = "page"
)

// A Service describes one to the listener.
type Service struct {
	Kind   Kind
	Listen string   // of a page: see status.Front
	Names  []string // of a page
}

// memory is what a listener has before it collects garbage as often as it can.
const memory = 48 << 20

// Main runs the listener. It returns when keypaird has ended or does not want it any more.
func Main() error {
	// A terminal and a service manager signal the whole group: the listener ends last.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1)
	debug.SetMemoryLimit(memory)
	if err := launch.ConfineServer(); err != nil {
		return err
	}
	control, err := connOf(3)
	if err != nil {
		return problem.New("the command "+Command+" has no channel", "run another command: keypaird starts this one itself")
	}
	for {
		channel, sockets, err := receive(control)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = start(channel, sockets)
		}
		if err == nil {
			_, err = control.Write([]byte{1})
		}
		if err != nil {
			return err
		}
	}
}

// start serves at sockets in the background until the channel ends.
func start(channel *net.UnixConn, sockets []net.Listener) error {
	text, err := readFrame(channel)
	if err != nil {
		return err
	}
	var s Service
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	a := newAsker(channel)
	server, err := s.serve(sockets, a.ask)
	if err != nil {
		return err
	}
	go func() {
		a.run()
		server.Close()
		channel.Close() // keypaird waits for that
	}()
	return nil
}

// serve answers at sockets in the background by what ask returns.
func (s Service) serve(sockets []net.Listener, ask func(context.Context, string) ([]byte, error)) (io.Closer, error) {
	response := func(question string) (string, error) {
		text, err := ask(context.Background(), question)
		if err == nil && len(text) == 0 {
			err = errors.New("there is none")
		}
		return string(text), err
	}
	switch s.Kind {
	case HTTP01:
		return http01.Serve(sockets, response), nil
	case TLSALPN01:
		return tlsalpn01.Serve(sockets, response), nil
	case Page:
		return front.Serve(sockets, &status.Front{Ask: ask, Listen: s.Listen, Names: s.Names}), nil
	}
	return nil, fmt.Errorf("there is no service %q", s.Kind)
}
