package canon

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// JSON returns what a server has answered, a message of type d as the JSON gateway writes
// it, with the values that are shown. What else is in it stays, and so does the order, but
// spaces go: protobuf's own are not always the same. It may be more than one, as a stream's.
func (n *Names) JSON(b []byte, d protoreflect.MessageDescriptor) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var out bytes.Buffer
	for {
		err := n.json(&out, dec, d, nil)
		if errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		out.WriteByte('\n')
	}
}

// json copies one value, which is of field f, or a message of type d.
func (n *Names) json(out *bytes.Buffer, dec *json.Decoder, d protoreflect.MessageDescriptor, f protoreflect.FieldDescriptor) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		if f != nil && f.Message() != nil {
			d = f.Message()
		}
		return n.object(out, dec, d)
	case json.Delim('['):
		return n.list(out, dec, d, f)
	}
	v, err := json.Marshal(n.leaf(t, f))
	out.Write(v)
	return err
}

func (n *Names) list(out *bytes.Buffer, dec *json.Decoder, d protoreflect.MessageDescriptor, f protoreflect.FieldDescriptor) error {
	var all [][]byte
	for dec.More() {
		var one bytes.Buffer
		if err := n.json(&one, dec, d, f); err != nil {
			return err
		}
		all = append(all, one.Bytes())
	}
	if isMembers(f) {
		slices.SortStableFunc(all, func(a, b []byte) int {
			var x, y struct{ Name string }
			_, _ = json.Unmarshal(a, &x), json.Unmarshal(b, &y) // it was made here
			return byName(x.Name, y.Name)
		})
	}
	out.WriteByte('[')
	out.Write(bytes.Join(all, []byte(",")))
	out.WriteByte(']')
	_, err := dec.Token()
	return err
}

func (n *Names) object(out *bytes.Buffer, dec *json.Decoder, d protoreflect.MessageDescriptor) error {
	out.WriteByte('{')
	for i := 0; dec.More(); i++ {
		if i > 0 {
			out.WriteByte(',')
		}
		t, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		quoted, err := json.Marshal(key)
		if err != nil {
			return err
		}
		out.Write(quoted)
		out.WriteByte(':')
		f := d.Fields().ByJSONName(key)
		if f == nil {
			f = d.Fields().ByName(protoreflect.Name(key))
		}
		if err := n.json(out, dec, d, f); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	_, err := dec.Token()
	return err
}

// leaf is the shown value of a field.
func (n *Names) leaf(t json.Token, f protoreflect.FieldDescriptor) any {
	if f == nil {
		return t
	}
	switch f.Kind() {
	case protoreflect.Uint64Kind, protoreflect.Uint32Kind, protoreflect.Int64Kind, protoreflect.Int32Kind:
		switch v := t.(type) {
		case string: // as protobuf writes 64 bits
			if u, ok := parse(v); ok {
				if s := n.number(f, u, false); s != u {
					return strconv.FormatUint(s, 10)
				}
			}
		case json.Number:
			if u, ok := parse(v.String()); ok {
				return n.number(f, u, false)
			}
		}
	case protoreflect.BytesKind:
		if s, ok := t.(string); ok {
			if f.Name() == "blob" {
				return "(the bytes, in base64)"
			}
			if b, err := base64.StdEncoding.DecodeString(s); err == nil {
				return n.bytes(f, b, false) // which json writes as base64
			}
		}
	case protoreflect.StringKind:
		if s, ok := t.(string); ok {
			return string(n.bytes(f, []byte(s), false))
		}
	default:
	}
	return t
}

func parse(s string) (uint64, bool) {
	u, err := strconv.ParseUint(s, 10, 64)
	return u, err == nil
}

// Real returns a text that the client sends, such as a token, as the server knows it.
func (n *Names) Real(s string) string { return n.text(s, true) }
