package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// commands shows calls as command lines that do the same when pasted into a
// shell. Each call is shown once, however many attempts it took. The client's own
// requests are not shown.
type commands struct {
	w     io.Writer
	hide  hider
	opts  Options
	shown map[int]int // for each call, the attempt that was shown
}

func (c *commands) render(r *record) error {
	if !r.asked() {
		return nil
	}
	hide := c.hide.of(r.method)
	for _, m := range r.messages() {
		if !m.sent || !m.whole() || !c.first(r) {
			continue
		}
		line, err := c.line(r, m, hide)
		if err != nil {
			line = fmt.Sprintf("# %s: %s", clean(r.method), clean(err.Error()))
		}
		if _, err := fmt.Fprintln(c.w, line); err != nil {
			return err
		}
	}
	return nil
}

// first reports whether r's attempt is the one that is shown for its call.
func (c *commands) first(r *record) bool {
	if r.call == 0 {
		return true
	}
	if n, ok := c.shown[r.call]; ok {
		return n == r.n
	}
	if len(c.shown) >= maxCalls {
		clear(c.shown)
	}
	c.shown[r.call] = r.n
	return true
}

func (c *commands) line(r *record, m *message, hide hider) (string, error) {
	body, err := messageJSON(r, m, hide)
	if err != nil {
		return "", err
	}
	if c.opts.Format == Grpcurl {
		return c.grpcurl(r, body), nil
	}
	return c.curl(r, body)
}

// curl returns a command line for etcd's JSON gateway, which is on the same port.
func (c *commands) curl(r *record, body string) (string, error) {
	path := gatewayPath(r.desc)
	if path == "" {
		return "", fmt.Errorf("etcd's JSON gateway does not have it")
	}
	args := []string{"curl", "-sS"}
	if r.desc.IsStreamingServer() {
		args = append(args, "-N") // print each response as it arrives
	}
	scheme, host := "http", r.conn.member
	if r.conn.secure {
		scheme = "https"
		args = append(args, c.files("--cacert", "--cert", "--key")...)
		if a := r.header(":authority"); a != "" && a != host {
			args = append(args, "--connect-to", "::"+host) // the certificate is for the name, which may differ from the address
			host = a
		}
	}
	if socket, ok := strings.CutPrefix(r.conn.member, "unix:"); ok {
		args, host = append(args, "--unix-socket", socket), "localhost"
	}
	args = append(args, scheme+"://"+host+path)
	line := shell(args)
	// The gateway forwards this header as gRPC's "token".
	if token := r.header("token"); token != "" {
		line += c.secret(" -H 'Authorization: ", token)
	}
	return line + " -d " + quoteShell(body), nil
}

// grpcurl returns a command line for grpcurl, which gets etcd's message types
// from the tool.
func (c *commands) grpcurl(r *record, body string) string {
	args := []string{"grpcurl", "-protoset", "/dev/stdin"}
	if r.conn.secure {
		args = append(args, c.files("-cacert", "-cert", "-key")...)
		host, _, err := net.SplitHostPort(r.header(":authority"))
		if err == nil && host != hostOf(r.conn.member) {
			args = append(args, "-servername", host)
		}
	} else {
		args = append(args, "-plaintext")
	}
	if v := r.header("hasleader"); v != "" {
		args = append(args, "-H", "hasleader: "+v)
	}
	line := "getcd wire protoset | " + shell(args)
	if token := r.header("token"); token != "" {
		line += c.secret(" -H 'token: ", token)
	}
	return line + " -d " + quoteShell(body) + " " + shell([]string{r.conn.member, strings.TrimPrefix(r.method, "/")})
}

// secret returns a header with a token, or with the name of a variable for it.
func (c *commands) secret(header, token string) string {
	if c.hide.secrets {
		return header + strings.TrimPrefix(quoteShell(token), "'")
	}
	return header + `'"$TOKEN"`
}

func (c *commands) files(ca, cert, key string) []string {
	var out []string
	for _, f := range [][2]string{{ca, c.opts.CA}, {cert, c.opts.Cert}, {key, c.opts.Key}} {
		if f[1] != "" {
			out = append(out, f[0], f[1])
		}
	}
	return out
}

// header returns the value of a request's header field, or an empty string.
func (r *record) header(name string) string {
	for _, f := range r.frames {
		for _, h := range f.fields {
			if f.sent && h.name == name {
				return h.value
			}
		}
	}
	return ""
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// messageJSON returns a message in the form that the gateway and grpcurl accept.
func messageJSON(r *record, m *message, hide hider) (string, error) {
	d := r.messageType(m.sent)
	if d == nil {
		return "", fmt.Errorf("not a method that is known")
	}
	if m.compressed() {
		return "", fmt.Errorf("the message is compressed")
	}
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return "", err
	}
	p := t.New()
	if err := (proto.UnmarshalOptions{RecursionLimit: maxDepth}).Unmarshal(m.body(), p.Interface()); err != nil {
		return "", err
	}
	hide.clear(p)
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(p.Interface())
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil { // protojson inserts spaces at random
		return "", err
	}
	return string(ascii(out.Bytes())), nil
}

// clear replaces the hidden values in m.
func (h hider) clear(m protoreflect.Message) {
	b, err := proto.Marshal(m.Interface())
	hidden := err != nil || h.value(b, m.Descriptor())
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case h.field(f) || hidden && f.Name() == "value" && f.Message() == nil:
			if f.Kind() == protoreflect.StringKind {
				m.Set(f, protoreflect.ValueOfString(hiddenText))
			} else {
				m.Set(f, protoreflect.ValueOfBytes([]byte(hiddenText)))
			}
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				h.clear(v.List().Get(i).Message())
			}
		default:
			h.clear(v.Message())
		}
		return true
	})
}

// shell joins arguments so that a POSIX shell splits them into the same ones.
func shell(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		if strings.IndexFunc(a, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@", r)
		}) < 0 && a != "" {
			out[i] = a
		} else {
			out[i] = quoteShell(a)
		}
	}
	return strings.Join(out, " ")
}

// quoteShell quotes s for a POSIX shell. Characters that must not be shown are
// replaced by visible ones, which makes the command wrong.
func quoteShell(s string) string {
	return "'" + strings.ReplaceAll(visible(s), "'", `'\''`) + "'"
}
