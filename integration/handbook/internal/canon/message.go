package canon

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Message returns b, a message of type d, with other values; sent says that the client
// sends it. What is no such message stays as it is.
func (n *Names) Message(b []byte, d protoreflect.MessageDescriptor, sent bool) []byte {
	if d == nil {
		return b
	}
	var out []byte
	for rest := b; len(rest) > 0; {
		num, typ, tag := protowire.ConsumeTag(rest)
		if tag < 0 {
			return b
		}
		size := protowire.ConsumeFieldValue(num, typ, rest[tag:])
		if size < 0 {
			return b
		}
		value := rest[tag : tag+size]
		out = append(out, rest[:tag]...)
		rest = rest[tag+size:]
		f := d.Fields().ByNumber(num)
		switch {
		case f == nil:
			out = append(out, value...)
		case typ == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(value)
			out = protowire.AppendVarint(out, n.number(f, v, sent))
		case typ == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(value)
			out = protowire.AppendBytes(out, n.bytes(f, v, sent))
		default:
			out = append(out, value...)
		}
	}
	return out
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
