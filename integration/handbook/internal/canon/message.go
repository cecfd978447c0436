package canon

import (
	"bytes"
	"cmp"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Message returns b, a message of type d, with other values; sent says that the client
// sends it. What is no such message stays as it is. Members, which a server lists in the
// order of their IDs, are put in that of their names.
func (n *Names) Message(b []byte, d protoreflect.MessageDescriptor, sent bool) []byte {
	if d == nil {
		return b
	}
	var fields, members [][]byte
	for rest := b; len(rest) > 0; {
		num, typ, tag := protowire.ConsumeTag(rest)
		if tag < 0 {
			return b
		}
		size := protowire.ConsumeFieldValue(num, typ, rest[tag:])
		if size < 0 {
			return b
		}
		f := d.Fields().ByNumber(num)
		field := n.field(bytes.Clone(rest[:tag]), rest[tag:tag+size], typ, f, sent)
		if isMembers(f) {
			members = append(members, field)
		}
		fields = append(fields, field)
		rest = rest[tag+size:]
	}
	if len(members) > 1 {
		slices.SortStableFunc(members, func(a, b []byte) int { return byName(memberName(a), memberName(b)) })
		at := len(fields) - len(members) // they are the last field of their messages
		copy(fields[at:], members)
	}
	return bytes.Join(fields, nil)
}

// field appends the field's new value to its tag.
func (n *Names) field(tag, value []byte, typ protowire.Type, f protoreflect.FieldDescriptor, sent bool) []byte {
	switch {
	case f == nil:
		return append(tag, value...)
	case typ == protowire.VarintType:
		v, _ := protowire.ConsumeVarint(value)
		return protowire.AppendVarint(tag, n.number(f, v, sent))
	case typ == protowire.BytesType:
		v, _ := protowire.ConsumeBytes(value)
		return protowire.AppendBytes(tag, n.bytes(f, v, sent))
	default:
		return append(tag, value...)
	}
}

func (n *Names) bytes(f protoreflect.FieldDescriptor, v []byte, sent bool) []byte {
	switch {
	case f.Message() != nil:
		return n.Message(v, f.Message(), sent)
	case f.FullName() == "etcdserverpb.AuthenticateResponse.token":
		return []byte(n.token(string(v)))
	case f.Name() == "blob" || f.IsList() && f.Kind() != protoreflect.StringKind && f.Kind() != protoreflect.BytesKind:
		return v
	}
	return []byte(n.text(string(v), sent))
}

// isMembers reports whether f is a list of members.
func isMembers(f protoreflect.FieldDescriptor) bool {
	return f != nil && f.IsList() && f.Message() != nil && f.Message().FullName() == "etcdserverpb.Member"
}

// memberName is the name in a field that is an etcdserverpb.Member.
func memberName(field []byte) string {
	_, _, tag := protowire.ConsumeTag(field)
	m, _ := protowire.ConsumeBytes(field[tag:])
	for len(m) > 0 {
		num, typ, n := protowire.ConsumeField(m)
		if n < 0 {
			break
		}
		if num == 2 && typ == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(m)
			name, _ := protowire.ConsumeBytes(m[tag:])
			return string(name)
		}
		m = m[n:]
	}
	return ""
}

// byName compares names; what has none, since it has not started, comes last.
func byName(a, b string) int {
	if (a == "") != (b == "") {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}
