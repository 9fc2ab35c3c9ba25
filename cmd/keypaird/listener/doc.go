// Package listener is the process that any client may connect to: port 80, tls-alpn-01 and the
// status page. It is this program again ("keypaird listener"), confined by
// [keypaird/renew/launch], as another user if keypaird is root. It holds nothing: no
// configuration, no key, no directory, no connection but those that it accepts.
//
// keypaird opens the sockets, or has them from the service manager, and passes them on
// (SCM_RIGHTS) with a channel for each service:
//
//	p := &listener.Process{Log: log}
//	server, err := p.Serve(listener.Service{Kind: listener.HTTP01}, sockets, solver.Token)
//
// On the channel the listener asks, one question at a time, and keypaird answers: for a
// token or a server name with the response in its file, which is public; for a page, which is
// one of four fixed words, with its bytes. Several keypairds thus share the directories of
// responses as before. keypaird parses nothing else that the listener sends, and the number
// of answers in a second is bounded.
//
// The sockets stay open in keypaird: when the listener dies, clients wait until the next
// one accepts them. It ends with keypaird, by the end of its channels.
package listener
