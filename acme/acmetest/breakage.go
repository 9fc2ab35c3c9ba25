package acmetest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// At is a fault of requests whose path begins with prefix, such as [PathOrder].
func At(prefix string, f Fault) Fault {
	return func(next http.Handler) http.Handler {
		faulty := f(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, prefix) {
				faulty.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Say answers in place of the CA, with headers given as "Name: value".
func Say(status int, body string, headers ...string) Fault {
	return Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		setHeaders(w.Header(), headers)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
}

// Answer lets h answer in place of the CA.
func Answer(h http.Handler) Fault {
	return func(http.Handler) http.Handler { return h }
}

// Headers changes headers of the answer: "Name: value" replaces, "Name:"
// removes.
func Headers(headers ...string) Fault {
	return after(func(w http.ResponseWriter, _ *http.Request, a *answer) {
		setHeaders(a.header, headers)
		a.send(w)
	})
}

// Rewrite changes the body of good answers.
func Rewrite(change func(body []byte) []byte) Fault {
	return after(func(w http.ResponseWriter, _ *http.Request, a *answer) {
		if a.status < 300 {
			a.replace(change(a.body.Bytes()))
		}
		a.header.Del("Content-Length")
		a.send(w)
	})
}

// Lost breaks the connection after the CA has carried out the request.
func Lost() Fault {
	return after(func(w http.ResponseWriter, r *http.Request, _ *answer) { Reset().ServeHTTP(w, r) })
}

// Truncate sends half of the answer, and breaks the connection.
func Truncate() Fault {
	return after(func(w http.ResponseWriter, _ *http.Request, a *answer) {
		a.header.Set("Content-Length", strconv.Itoa(a.body.Len()))
		a.header.Del("Transfer-Encoding")
		maps.Copy(w.Header(), a.header)
		w.WriteHeader(a.status)
		w.Write(a.body.Bytes()[:a.body.Len()/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
}

// Halve sends half of the answer as if it were complete.
func Halve() Fault {
	return after(func(w http.ResponseWriter, _ *http.Request, a *answer) {
		a.replace(bytes.Clone(a.body.Bytes()[:a.body.Len()/2]))
		a.header.Del("Content-Length")
		a.send(w)
	})
}

// Dribble sends the answer byte by byte, one each d.
func Dribble(d time.Duration) Fault {
	return after(func(w http.ResponseWriter, r *http.Request, a *answer) {
		maps.Copy(w.Header(), a.header)
		w.WriteHeader(a.status)
		flush := http.NewResponseController(w)
		for _, b := range a.body.Bytes() {
			if _, err := w.Write([]byte{b}); err != nil || flush.Flush() != nil || !wait(r.Context(), d) {
				return
			}
		}
	})
}

// Endless sends a body without end.
func Endless(status int, headers ...string) Fault {
	return Answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header(), headers)
		w.WriteHeader(status)
		chunk := bytes.Repeat([]byte(" "), 64<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
}

// Bomb sends size bytes, in whole megabytes, compressed.
func Bomb(size int) Fault {
	const megabyte = 1 << 20
	var member bytes.Buffer // RFC 1952, section 2.2: a file is a series of them
	z := gzip.NewWriter(&member)
	z.Write(make([]byte, megabyte))
	z.Close()
	return Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for n := 0; n < size; n += megabyte {
			if _, err := w.Write(member.Bytes()); err != nil {
				return
			}
		}
	}))
}

// Raw sends text in place of an HTTP answer, then rest repeatedly until the client stops
// reading, and closes the connection. It needs HTTP/1.1, as [Proxy] has it.
func Raw(text, rest string) Fault {
	return Answer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(fmt.Sprintf("raw answer: %v", err))
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, text); err != nil || rest == "" {
			return
		}
		more := []byte(strings.Repeat(rest, 1+4096/len(rest)))
		for {
			if _, err := conn.Write(more); err != nil {
				return
			}
		}
	}))
}

// after records the CA's answer, and lets do send an answer to the client.
func after(do func(http.ResponseWriter, *http.Request, *answer)) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := answer{header: make(http.Header), status: http.StatusOK}
			next.ServeHTTP(&a, r)
			do(w, r, &a)
		})
	}
}

// send sends the answer.
func (a *answer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	w.Write(a.body.Bytes())
}

// setHeaders sets headers given as "Name: value", and removes those without a value. One
// that is named several times has several values.
func setHeaders(h http.Header, headers []string) {
	for _, line := range headers {
		name, _, _ := strings.Cut(line, ":")
		h.Del(name)
	}
	for _, line := range headers {
		if name, value, _ := strings.Cut(line, ":"); value != "" {
			h.Add(name, strings.TrimPrefix(value, " "))
		}
	}
	if h.Get("Date") == "" && slices.Contains(headers, "Date:") {
		h["Date"] = nil // net/http would add its own
	}
}
