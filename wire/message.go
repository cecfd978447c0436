package wire

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxDepth is how deep nested messages are decoded. Transactions may nest without
// end; etcd has only protobuf's own limit, 10,000.
const maxDepth = 64

// message lists the fields of a protobuf message. d is its type, or nil if that
// is unknown. at is the offset of b in the whole message. short says that the end
// of b is missing. The encoding is described at
// https://protobuf.dev/programming-guides/encoding/.
func (l *lister) message(b []byte, d protoreflect.MessageDescriptor, at, depth int, short bool) {
	hidden := l.hide.value(b, d)
	for len(b) > 0 {
		if l.full() {
			l.raw(b, depth, "%d bytes more are not decoded: too many fields", len(b))
			return
		}
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			l.bad(b, depth, short, n)
			return
		}
		f := field{at: at, num: num, typ: typ, hidden: hidden}
		if d != nil {
			f.desc = d.Fields().ByNumber(num)
		}
		size := l.field(f, b, n, depth, short)
		if size == 0 {
			return
		}
		b, at = b[size:], at+size
	}
}

// field is a field of a message.
type field struct {
	at     int // its offset in the whole message
	num    protowire.Number
	typ    protowire.Type
	desc   protoreflect.FieldDescriptor // nil if it is unknown
	hidden bool                         // its values are hidden
}

// field lists the field at the beginning of b, whose tag has n bytes, and returns
// its size. If it is malformed, field lists all of b and returns 0.
func (l *lister) field(f field, b []byte, n, depth int, short bool) int {
	p := part{depth: depth, name: f.name(), note: f.encoding()}
	if f.typ != protowire.BytesType {
		m := protowire.ConsumeFieldValue(f.num, f.typ, b[n:])
		if m < 0 {
			l.bad(b, depth, short, m)
			return 0
		}
		p.bytes, p.value = b[:n+m], f.scalar(b[n:n+m])
		l.add(l.secret(p, f))
		return n + m
	}
	length, k := protowire.ConsumeVarint(b[n:])
	if k < 0 {
		l.bad(b, depth, short, k)
		return 0
	}
	v := b[n+k:]
	cut := length > uint64(len(v))
	if cut && !short {
		l.raw(b, depth, "malformed: field %d has %d bytes by its length, and %d are left", f.num, length, len(v))
		return 0
	}
	if !cut {
		v = v[:length]
	}
	if f.isMessage() && depth < maxDepth {
		p.bytes, p.value = b[:n+k], fmt.Sprintf("%s, %d bytes", f.desc.Message().Name(), length)
		if l.hide.field(f.desc) {
			p.value = hiddenText
		}
		l.add(p)
		l.message(v, f.desc.Message(), f.at+n+k, depth+1, cut)
		return n + k + len(v)
	}
	p.bytes, p.value = b[:n+k+len(v)], f.text(v)
	if f.isMessage() {
		p.value = fmt.Sprintf("%d bytes: too deep to be decoded", length)
	}
	if cut {
		p.value += fmt.Sprintf(" (%d of %d bytes)", len(v), length)
	}
	l.add(l.secret(p, f))
	return n + k + len(v)
}

// bad lists the rest of a message that cannot be decoded. code is protowire's.
func (l *lister) bad(b []byte, depth int, short bool, code int) {
	if short {
		l.raw(b, depth, "cut off in the midst of a field")
		return
	}
	_, why, _ := strings.Cut(protowire.ParseError(code).Error(), "proto:")
	l.raw(b, depth, "malformed: %s", strings.TrimSpace(why))
}

// secret returns p, hidden if necessary.
func (l *lister) secret(p part, f field) part {
	switch {
	case f.desc != nil && (l.hide.field(f.desc) || f.hidden && f.desc.Name() == "value"),
		f.desc == nil && l.hide.unknown(),
		f.isMessage() && l.hide.unknown():
		p.value, p.hidden = hiddenText, true
	}
	return p
}

func (f field) isMessage() bool {
	return f.desc != nil && f.desc.Message() != nil && f.typ == protowire.BytesType
}

func (f field) name() string {
	if f.desc == nil {
		return "unknown field"
	}
	return string(f.desc.Name())
}

// encoding returns the field's offset, number and wire type.
func (f field) encoding() string {
	s := fmt.Sprintf("@%d  %d %s", f.at, f.num, typeName(f.typ))
	if f.desc != nil && !f.fits() {
		s += ", but it should be " + typeName(wireType(f.desc.Kind()))
	}
	return s
}

func (f field) fits() bool {
	return f.typ == wireType(f.desc.Kind()) || f.typ == protowire.BytesType && f.desc.IsList() // packed
}

// typeName returns the name of the wire type in protobuf's documentation.
func typeName(t protowire.Type) string {
	names := [...]string{"VARINT", "I64", "LEN", "SGROUP", "EGROUP", "I32"}
	if int(t) < len(names) {
		return names[t]
	}
	return "type " + strconv.Itoa(int(t))
}

func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	default:
		return protowire.VarintType
	}
}

// scalar returns the value of a field whose wire type is not LEN.
func (f field) scalar(b []byte) string {
	var v uint64
	switch f.typ {
	case protowire.VarintType:
		v, _ = protowire.ConsumeVarint(b)
	case protowire.Fixed32Type:
		v = uint64(binary.LittleEndian.Uint32(b))
	case protowire.Fixed64Type:
		v = binary.LittleEndian.Uint64(b)
	default:
		return fmt.Sprintf("a group of %d bytes: not decoded", len(b))
	}
	if f.desc == nil || !f.fits() {
		return strconv.FormatUint(v, 10)
	}
	return f.number(v)
}

// number formats v according to the descriptor.
func (f field) number(v uint64) string {
	switch f.desc.Kind() {
	case protoreflect.BoolKind:
		return strconv.FormatBool(v != 0)
	case protoreflect.EnumKind:
		if e := f.desc.Enum().Values().ByNumber(protoreflect.EnumNumber(int32(v))); e != nil { //nolint:gosec // as protobuf does
			return string(e.Name())
		}
		return fmt.Sprintf("%d, which has no name", int32(v)) //nolint:gosec // the same
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return strconv.FormatInt(protowire.DecodeZigZag(v), 10)
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return strconv.FormatInt(int64(int32(v)), 10) //nolint:gosec // the same
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return strconv.FormatInt(int64(v), 10) + f.hexID(v) //nolint:gosec // the same
	case protoreflect.FloatKind:
		return fmt.Sprint(math.Float32frombits(uint32(v))) //nolint:gosec // the same
	case protoreflect.DoubleKind:
		return fmt.Sprint(math.Float64frombits(v))
	default:
		return strconv.FormatUint(v, 10) + f.hexID(v)
	}
}

// hexID formats v as etcd's tools and logs print the IDs of members, clusters and
// leases.
func (f field) hexID(v uint64) string {
	name := strings.ToLower(string(f.desc.Name()))
	if v > 9 && (strings.HasSuffix(name, "id") || name == "lease" || name == "leader" && f.desc.Kind() == protoreflect.Uint64Kind) {
		return fmt.Sprintf(" (%x)", v)
	}
	return ""
}

// text returns the value of a LEN field that is not a message.
func (f field) text(v []byte) string {
	if f.desc != nil && f.desc.IsList() && wireType(f.desc.Kind()) != protowire.BytesType {
		return f.packed(v)
	}
	if isText(v) || len(v) < 4 {
		return quote(string(v))
	}
	const few = 32
	if len(v) > few {
		return fmt.Sprintf("%d bytes, no text: %s…", len(v), hex.EncodeToString(v[:few]))
	}
	return "no text: " + hex.EncodeToString(v)
}

// packed returns the elements of a packed field.
func (f field) packed(v []byte) string {
	const most = 64
	one := f
	one.typ = wireType(f.desc.Kind())
	var out []string
	for len(v) > 0 && len(out) < most {
		n := protowire.ConsumeFieldValue(f.num, one.typ, v)
		if n < 0 {
			return "malformed elements"
		}
		out = append(out, one.scalar(v[:n]))
		v = v[n:]
	}
	if len(v) > 0 {
		out = append(out, "…")
	}
	return "[" + strings.Join(out, ", ") + "]"
}
