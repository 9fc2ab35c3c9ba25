package envelope

import (
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"keypaird/renew/problem"
)

// A Header says what a message is, and is signed with it.
type Header struct {
	Fleet  string    `json:"fleet"`            // its id
	Key    string    `json:"key"`              // that it is stored at
	Serial uint64    `json:"serial,omitempty"` // for the caller to compare with the last; the envelope does not
	By     string    `json:"by"`               // node
	At     time.Time `json:"at"`
}

// A Message is a value of the engine.
type Message struct {
	Header
	Body   json.RawMessage `json:"body,omitempty"`
	Sealed []byte          `json:"sealed,omitempty"` // by Seal
}

// An envelope is a message as the engine has it.
type envelope struct {
	Payload   string `json:"payload"`   // JSON of a Message
	Signature string `json:"signature"` // base64; two, one after the other, of a node with two keys
}

// MaxValue is the size of a value in bytes that Sign makes and Open reads. etcd takes
// requests of 1.5 MiB.
const MaxValue = 1 << 20

// signed returns what is signed: nothing that is signed for another purpose begins so.
func signed(payload string) []byte { return []byte("keypaird fleet envelope 1\x00" + payload) }

// Sign returns the message as a value for the engine.
func (i *Identity) Sign(m Message) ([]byte, error) {
	if m.Fleet == "" || m.Key == "" || m.By == "" {
		return nil, fmt.Errorf("making the value of %q: fleet, key or node is missing", m.Key)
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("making the value of %q: %w", m.Key, err)
	}
	if !utf8.Valid(payload) { // JSON would replace it
		return nil, fmt.Errorf("making the value of %q: not valid UTF-8", m.Key)
	}
	var signature []byte
	for _, p := range i.pairs {
		signature = append(signature, ed25519.Sign(p.sign, signed(string(payload)))...)
	}
	value, err := json.Marshal(envelope{string(payload), base64.StdEncoding.EncodeToString(signature)})
	if err != nil {
		return nil, fmt.Errorf("making the value of %q: %w", m.Key, err)
	}
	if len(value) > MaxValue {
		return nil, problem.Newf("have fewer names in one certificate, or fewer nodes", "the value of %q has %d KiB, more than the %d KiB that fit into the engine", m.Key, len(value)>>10, MaxValue>>10)
	}
	return value, nil
}

// A SignatureError says that a value of the engine is not what a node of the fleet wrote
// there. Key is the key that was read, By the node that did sign, "" if none did.
type SignatureError struct {
	Key, By string
	why     string
	remedy  string
}

func (e *SignatureError) Error() string {
	if e.By == "" {
		return fmt.Sprintf("the engine's value of %.200q %s", e.Key, e.why)
	}
	return fmt.Sprintf("the engine's value of %.200q, signed by node %q, %s", e.Key, e.By, e.why)
}

// Remedy says what the operator can do about it.
func (e *SignatureError) Remedy() string { return e.remedy }

const (
	unsignedRemedy = "compare [fleet.nodes] of all nodes with the lines that keypaird fleet key prints on them; if they agree, another program or person writes to the engine: restrict its rights"
	misusedRemedy  = "another program or person copies values in the engine: restrict its rights, as keypaird fleet init -print-etcdctl shows"
)

// Open returns the message in a value that was read at key, if it is signed for that key
// and that fleet by one of the nodes by; nil: by any member. The fleet is "" for
// the one value that has the fleet's id in it. The error is a *SignatureError.
func (m Members) Open(value []byte, fleet, key string, by []string) (Message, error) {
	fail := func(node, remedy, format string, args ...any) (Message, error) {
		return Message{}, &SignatureError{key, node, fmt.Sprintf(format, args...), remedy}
	}
	if len(value) > MaxValue {
		return fail("", unsignedRemedy, "is larger than %d KiB", MaxValue>>10)
	}
	var e envelope
	var message Message
	if json.Unmarshal(value, &e) != nil || json.Unmarshal([]byte(e.Payload), &message) != nil {
		return fail("", unsignedRemedy, "is no envelope")
	}
	if !m.verify(message.By, e) {
		return fail("", unsignedRemedy, "is signed by no node of [fleet.nodes]")
	}
	// From here on the node did sign the payload, so that what it says may be shown.
	switch h := message.Header; {
	case h.Fleet != cmp.Or(fleet, h.Fleet):
		return fail(h.By, misusedRemedy, "is of another fleet, %.64q", h.Fleet)
	case h.Key != key:
		return fail(h.By, misusedRemedy, "was written for another key, %.200q", h.Key)
	case by != nil && !slices.Contains(by, h.By):
		return fail(h.By, "have one order on all nodes, in [fleet]; if it is one, node "+h.By+" has a fault or was taken over: take it out of [fleet.nodes]", "may only come from %.400q", by)
	}
	return message, nil
}

// verify reports whether one of the node's keys signed the payload.
func (m Members) verify(node string, e envelope) bool {
	data, err := base64.StdEncoding.Strict().DecodeString(e.Signature)
	if err != nil || len(data) == 0 || len(data) > 2*ed25519.SignatureSize || len(data)%ed25519.SignatureSize != 0 {
		return false
	}
	payload := signed(e.Payload)
	for signature := range slices.Chunk(data, ed25519.SignatureSize) {
		if slices.ContainsFunc(m[node], func(p Public) bool { return ed25519.Verify(p.verify[:], payload, signature) }) {
			return true
		}
	}
	return false
}
