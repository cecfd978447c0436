package wire

import (
	"bytes"
	"regexp"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// hider decides what is hidden.
type hider struct {
	secrets  bool     // show secrets
	prefixes [][]byte // of keys whose values are hidden
	harmless bool     // the bytes belong to a call or a message without secrets
}

const hiddenText = "(hidden)"

// of returns h for the bytes of a call of that method or, without a call, of that
// message type. If the name is empty or unknown, the bytes may be anybody's.
func (h hider) of(name string) hider {
	h.harmless = !mayHaveSecrets.MatchString(name) && (findMethod(name) != nil || findMessage(name) != nil)
	return h
}

// mayHaveSecrets matches the names of what carries passwords, tokens or the
// database: the service Auth, the messages for it, raft entries, and snapshots.
var mayHaveSecrets = regexp.MustCompile("(?i)auth|internal|snapshot")

// header reports whether the values of that header field are hidden: etcd's tokens
// (api/v3/v3rpc/rpctypes/metadatafields.go), and what proxies take for one.
func (h hider) header(name string) bool {
	return !h.secrets && secretHeader.MatchString(name)
}

// secretHeader matches the names of header fields that have secrets, as far as names
// tell: "token", "proxy-authorization", "set-cookie", "x-api-key". It leaves out
// ":authority".
var secretHeader = regexp.MustCompile("(?i)^[^:]*(auth|token|jwt|cookie|key|secret|passw|credential)")

// field reports whether the values of that field are secrets: passwords, their
// hashes, tokens, and the database, which contains all of these.
func (h hider) field(f protoreflect.FieldDescriptor) bool {
	switch f.Name() {
	case "password", "hashedPassword", "token", "simple_token":
		return !h.secrets
	case "blob": // with the values of all keys
		return f.Parent().FullName() == "etcdserverpb.SnapshotResponse" && (!h.secrets || len(h.prefixes) > 0)
	}
	return false
}

// unknown reports whether bytes that cannot be decoded are hidden, since they may
// be such values.
func (h hider) unknown() bool {
	return len(h.prefixes) > 0 || !h.secrets && !h.harmless
}

// value reports whether the values in message b belong to a key that the user
// hides. The key is in the same message: the key of a pair, a put or a
// comparison, the name of an election, or the key in an election's leader
// message. All fields are examined first, since a field may occur twice, or after
// the value.
func (h hider) value(b []byte, d protoreflect.MessageDescriptor) bool {
	if len(h.prefixes) == 0 || d == nil || d.Fields().ByName("value") == nil {
		return false
	}
	named := false
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			break
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			break
		}
		if f := d.Fields().ByNumber(num); f != nil && typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[n:])
			switch f.Name() {
			case "key":
				named = true
				if h.key(v) {
					return true
				}
			case "name":
				named = true
				if h.election(v) {
					return true
				}
			case "leader":
				named = true
				if h.leader(v) {
					return true
				}
			}
		}
		b = b[n+m:]
	}
	return !named || len(b) > 0 // if no key is given, it is unknown whose values they are
}

func (h hider) key(k []byte) bool {
	for _, p := range h.prefixes {
		if bytes.HasPrefix(k, p) {
			return true
		}
	}
	return false
}

// election is like key, for the candidates of an election, whose keys are name +
// "/" + lease.
func (h hider) election(name []byte) bool {
	dir := append(bytes.Clone(name), '/')
	for _, p := range h.prefixes {
		if bytes.HasPrefix(dir, p) || bytes.HasPrefix(p, dir) {
			return true
		}
	}
	return false
}

// leader is like key, for a v3electionpb.LeaderKey: name = 1, key = 2.
func (h hider) leader(b []byte) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeField(b)
		if n < 0 {
			return true
		}
		_, _, t := protowire.ConsumeTag(b)
		if typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(b[t:])
			if num == 1 && h.election(v) || num == 2 && h.key(v) {
				return true
			}
		}
		b = b[n:]
	}
	return false
}
