package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// DecodeMessage reads one protobuf message from r and lists its bytes on w. name
// is the full name of its type, such as "etcdserverpb.PutRequest". In Options,
// Format must be Frames, Messages or JSON, and Memory is the maximum size of the
// message. Bytes that are not such a message are listed as far as they can be
// decoded. An error means that reading or writing failed, or that name is
// unknown.
func DecodeMessage(w io.Writer, o Options, name string, r io.Reader) error {
	d, show, err := bareDecoder(w, o, name)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(r, o.memory()+1))
	if err != nil {
		return err
	}
	if int64(len(b)) > o.memory() {
		return fmt.Errorf("wire: the message is larger than Options.Memory, %d bytes", o.memory())
	}
	l := &lister{hide: o.hider().of(name)}
	l.message(b, d, 0, 0, false)
	return show.bare(0, l.parts)
}

// DecodeGRPC lists the messages of that type in r on w. Each has gRPC's prefix of
// five bytes. If a message is larger than Options.Memory, only its beginning is
// listed. An empty name means that the type is unknown. Everything else is as in
// DecodeMessage.
func DecodeGRPC(w io.Writer, o Options, name string, r io.Reader) error {
	d, show, err := bareDecoder(w, o, name)
	if err != nil {
		return err
	}
	hide := o.hider().of(name)
	for at := int64(0); ; {
		m := &message{bytes: make([]byte, prefixLen)}
		n, err := io.ReadFull(r, m.bytes)
		if errors.Is(err, io.EOF) {
			return nil
		}
		m.bytes = m.bytes[:n]
		var skipped int64
		if err == nil {
			length := int64(binary.BigEndian.Uint32(m.bytes[1:]))
			var body []byte
			body, err = io.ReadAll(io.LimitReader(r, min(length, o.memory())))
			m.bytes = append(m.bytes, body...)
			if err == nil {
				skipped, err = io.CopyN(io.Discard, r, length-int64(len(body)))
			}
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if err := show.bare(at, m.list(d, hide)); err != nil {
			return err
		}
		at += int64(len(m.bytes)) + skipped
	}
}

// DecodeHTTP2 lists the two directions of a connection on w: what the client
// sent, and what the server sent. Either may be nil; the other is then decoded as
// far as possible. If the beginning of the connection is missing, the names of
// some header fields are unknown. If the client's side is missing, the names of
// the methods are unknown. The client's side is read first, so its calls wait in
// Options.Memory for their responses.
func DecodeHTTP2(w io.Writer, o Options, client, server io.Reader) error {
	if !slices.Contains(Formats(), o.format()) {
		return unknownFormat(o.Format)
	}
	rec := New(w, o).record("a member")
	buf := make([]byte, 16<<10)
	for i, r := range []io.Reader{client, server} {
		for r != nil {
			n, err := r.Read(buf)
			if err := rec.Add(time.Time{}, i == 0, buf[:n]); err != nil {
				return err
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
		}
	}
	return rec.End("end of the recording")
}

func bareDecoder(w io.Writer, o Options, name string) (protoreflect.MessageDescriptor, bareRenderer, error) {
	show, ok := newRenderer(w, o).(bareRenderer)
	switch {
	case !slices.Contains(Formats(), o.format()):
		return nil, nil, unknownFormat(o.Format)
	case !ok:
		return nil, nil, fmt.Errorf("wire: a message without its method can't be shown in format %q: want %q, %q or %q", string(o.Format), string(Frames), string(Messages), string(JSON))
	}
	d := findMessage(name)
	if d == nil && name != "" {
		return nil, nil, fmt.Errorf("wire: unknown message type %q: want a full name, such as %q", name, "etcdserverpb.PutRequest")
	}
	return d, show, nil
}

// bareRenderer shows parts that belong to no frame.
type bareRenderer interface {
	bare(offset int64, parts []part) error
}

// TypesOf returns the full names of the message types of an RPC, whose path is
// "/package.Service/Method". ok is false if the RPC is unknown.
func TypesOf(method string) (request, response string, ok bool) {
	d := findMethod(method)
	if d == nil {
		return "", "", false
	}
	return string(d.Input().FullName()), string(d.Output().FullName()), true
}
