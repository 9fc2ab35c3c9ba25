package front

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	requestTimeout = 2 * time.Second  // for the whole request
	answerTimeout  = 30 * time.Second // for a client to read its answer
	maxHeader      = 4 << 10          // net/http adds as much
)

// Serve answers HTTP requests at sockets in the background until it is closed. Each
// connection is for one request. Its body is not read.
func Serve(ls []net.Listener, h http.Handler) io.Closer {
	s := &server{Server: http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			req.Context().Value(connKey{}).(*Conn).Requested()
			_ = http.NewResponseController(w).EnableFullDuplex() // or the answer waits for the body
			h.ServeHTTP(w, req)
		}),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // errors of peers
	}, ls: ls}
	s.SetKeepAlivesEnabled(false)
	front := new(Front)
	for _, l := range ls {
		s.serving.Go(func() { _ = s.Serve(front.Listen(l)) })
	}
	return s
}

type connKey struct{}

// A server ends with its sockets.
type server struct {
	http.Server
	ls      []net.Listener
	serving sync.WaitGroup
}

// Close stops listening, breaks the connections and waits for the end.
func (s *server) Close() error {
	for _, l := range s.ls {
		l.Close() // the server may not know it yet
	}
	err := s.Server.Close()
	s.serving.Wait()
	return err
}
