// Package preset is the table of servers that keypaird knows: the files each
// needs, the commands that check and reload it, its set-up and its pitfalls.
//
// [Lookup] returns a preset as a [hooks.Deployment], [Servers] all facts about each
// server, and [Missing] the users, directories and programs that a deployment
// needs and this machine lacks. A preset is one entry in the table of its family:
// web.go, mail.go, chat.go or voice.go.
//
// The package starts no server and changes no file: it describes, and inspects this
// machine.
package preset
