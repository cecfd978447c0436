package canon

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Conn returns a client's connection to a member, through which pass the values of n
// instead of the member's own. It says that it leads to addr.
//
// It expects what gRPC's implementation for Go does with small messages: a header block is
// one frame, and so is a message. Larger messages pass as they are.
func (n *Names) Conn(inner net.Conn, addr string) net.Conn {
	c := &conn{Conn: inner, addr: address(addr), methods: make(map[uint32]protoreflect.MethodDescriptor)}
	c.up = newHalf(n, c, true)
	c.down = newHalf(n, c, false)
	return c
}

type conn struct {
	net.Conn

	addr     address
	up, down *half
	ready    bytes.Buffer // for Read

	mu      sync.Mutex
	methods map[uint32]protoreflect.MethodDescriptor // by stream
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.addr }

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	buf := make([]byte, 32<<10)
	for c.ready.Len() == 0 {
		m, err := c.Conn.Read(buf)
		c.ready.Write(c.down.feed(buf[:m]))
		if err != nil && c.ready.Len() == 0 {
			return 0, err
		}
	}
	return c.ready.Read(p)
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if _, err := c.Conn.Write(c.up.feed(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// half is one direction of a connection.
type half struct {
	names   *Names
	conn    *conn
	sent    bool
	pending []byte
	begun   bool

	decoder *hpack.Decoder
	encoder *hpack.Encoder
	block   bytes.Buffer
}

func newHalf(n *Names, c *conn, sent bool) *half {
	h := &half{names: n, conn: c, sent: sent, decoder: hpack.NewDecoder(4096, nil)}
	h.encoder = hpack.NewEncoder(&h.block)
	return h
}

const headerLen = 9 // of a frame (RFC 9113, section 4.1)

// feed takes the next bytes and returns what is to go on: whole frames.
func (h *half) feed(p []byte) []byte {
	h.pending = append(h.pending, p...)
	var out []byte
	if h.sent && !h.begun {
		if len(h.pending) < len(http2.ClientPreface) {
			return nil
		}
		out = append(out, h.pending[:len(http2.ClientPreface)]...)
		h.pending = h.pending[len(http2.ClientPreface):]
	}
	h.begun = true
	for len(h.pending) >= headerLen {
		length := int(h.pending[0])<<16 | int(h.pending[1])<<8 | int(h.pending[2])
		if len(h.pending) < headerLen+length {
			break
		}
		frame := h.pending[:headerLen+length]
		h.pending = h.pending[headerLen+length:]
		out = append(out, h.frame(frame)...)
	}
	return out
}

func (h *half) frame(f []byte) []byte {
	head, err := http2.ReadFrameHeader(bytes.NewReader(f))
	if err != nil {
		return f
	}
	payload := f[headerLen:]
	switch head.Type {
	case http2.FrameHeaders:
		payload = h.headers(head.StreamID, payload)
	case http2.FrameData:
		payload = h.data(head.StreamID, payload)
	default:
		return f
	}
	out := append([]byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload))}, f[3:headerLen]...)
	return append(out, payload...)
}

// headers encodes a header block again, with golang.org/x/net/http2/hpack, as gRPC does.
func (h *half) headers(stream uint32, block []byte) []byte {
	fields, err := h.decoder.DecodeFull(block)
	if err != nil {
		return block
	}
	h.block.Reset()
	for _, f := range fields {
		if h.sent && f.Name == ":path" {
			h.conn.begin(stream, f.Value)
		}
		if !strings.HasPrefix(f.Name, ":") {
			f.Value = h.names.text(f.Value, h.sent)
		}
		_ = h.encoder.WriteField(f) // to memory
	}
	return bytes.Clone(h.block.Bytes())
}

func (c *conn) begin(stream uint32, path string) {
	service, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return
	}
	if s, ok := d.(protoreflect.ServiceDescriptor); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.methods[stream] = s.Methods().ByName(protoreflect.Name(method))
	}
}

// data changes the messages in the data of a frame, if they are whole.
func (h *half) data(stream uint32, data []byte) []byte {
	h.conn.mu.Lock()
	m := h.conn.methods[stream]
	h.conn.mu.Unlock()
	if m == nil {
		return data
	}
	d := m.Output()
	if h.sent {
		d = m.Input()
	}
	const prefix = 5
	var out []byte
	for rest := data; len(rest) > 0; {
		if len(rest) < prefix || rest[0] != 0 || uint64(len(rest)-prefix) < uint64(binary.BigEndian.Uint32(rest[1:])) {
			return data
		}
		n := binary.BigEndian.Uint32(rest[1:])
		body := h.names.Message(rest[prefix:prefix+n], d, h.sent)
		out = append(out, 0)
		out = binary.BigEndian.AppendUint32(out, uint32(len(body))) //nolint:gosec // of a frame
		out = append(out, body...)
		rest = rest[prefix+n:]
	}
	return out
}
