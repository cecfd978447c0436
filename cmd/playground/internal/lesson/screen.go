package lesson

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/getcd/getcd/wire"
)

// screen is where a tracer writes to, one record at a time, and a lesson its words. It
// lists the tracer's bytes once more, with what names has for them.
type screen struct {
	names *names
	raw   bool // show all as it is

	mu      sync.Mutex // guards the fields below
	out     io.Writer
	methods []string // whose calls are shown; nil for all
	headers bool     // show all of a response's header, and not the revision alone
	calls   map[string]int
	ended   bool
	err     error // the first
}

func newScreen(out io.Writer, raw bool) *screen {
	return &screen{names: newNames(), raw: raw, out: out, calls: make(map[string]int)}
}

func (s *screen) show(methods []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.methods = methods
}

func (s *screen) wholeHeaders(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers = on
}

func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// say prints words.
func (s *screen) say(words string) {
	if !s.raw {
		words = s.names.text(words)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.printLocked(words + "\n")
}

func (s *screen) printLocked(text string) {
	if _, err := io.WriteString(s.out, text); err != nil && s.err == nil {
		s.err = err
	}
}

// Write takes a record of a tracer.
func (s *screen) Write(record []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return len(record), nil
	}
	text := string(record)
	if !s.raw {
		var err error
		if text, err = s.listLocked(text); err != nil && s.err == nil {
			s.err = err
		}
	}
	s.printLocked(text)
	return len(record), nil
}

var (
	title  = regexp.MustCompile(`^# [0-9:.]+ call (\d+), /([\w.]+/\w+), (attempt \d+), to (.*), connection \d+, stream \d+(.*)$`)
	begins = regexp.MustCompile(`^[<>] 00000000  .{48} +message: ([\w.]+), `)
	took   = regexp.MustCompile(`, after [0-9.]+[µmn]?s$`)
	ids    = regexp.MustCompile(`  (cluster_id|member_id|raft_term): `)
)

// The columns of a line: an arrow, the offset, the bytes, and their meaning.
const (
	bytesAt   = 12
	meaningAt = bytesAt + 3*16
)

// listLocked lists a record again. It is nothing when there is nothing to show.
func (s *screen) listLocked(record string) (string, error) {
	var (
		head     []string
		method   string
		messages []*message
	)
	for line := range strings.Lines(record) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
		case strings.HasPrefix(line, "# ") && len(head) == 0:
			m := title.FindStringSubmatch(line)
			if m == nil {
				return "", fmt.Errorf("a record begins with %q", line)
			}
			method = m[2]
			head = append(head, fmt.Sprintf("# call %d, %s, %s, to %s%s", s.callLocked(m[1], method), method, m[3], m[4], took.ReplaceAllString(m[5], "")))
		case strings.HasPrefix(line, "# "):
			head = append(head, took.ReplaceAllString(line, ""))
		case begins.MatchString(line):
			name := begins.FindStringSubmatch(line)[1]
			messages = append(messages, &message{arrow: line[:1], name: name})
			fallthrough
		default:
			if len(messages) == 0 {
				return "", fmt.Errorf("a record has a line %q before its first message", line)
			}
			m := messages[len(messages)-1]
			b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(line[bytesAt:min(len(line), meaningAt)]), " ", ""))
			if err != nil {
				return "", fmt.Errorf("%w in the line %q", err, line)
			}
			m.bytes = append(m.bytes, b...)
		}
	}
	var out strings.Builder
	for _, m := range messages {
		lines, err := m.list(s.names)
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(lines) {
			if s.headers || !ids.MatchString(line) {
				out.WriteString(line)
			}
		}
	}
	failed := len(head) > 1 || len(head) > 0 && !strings.HasSuffix(head[0], ": OK") && !strings.Contains(head[0], "anceled")
	if !s.shownLocked(method) || out.Len() == 0 && !failed {
		return "", nil
	}
	return "\n" + s.names.text(strings.Join(head, "\n")) + "\n" + out.String(), nil
}

// callLocked counts the calls that are shown.
func (s *screen) callLocked(n, method string) int {
	if !s.shownLocked(method) {
		return 0
	}
	if s.calls[n] == 0 {
		s.calls[n] = len(s.calls) + 1
	}
	return s.calls[n]
}

func (s *screen) shownLocked(method string) bool {
	return s.methods == nil || slices.ContainsFunc(s.methods, func(m string) bool { return strings.HasSuffix(method, m) })
}

// message is a message of a record, with gRPC's prefix.
type message struct {
	arrow, name string
	bytes       []byte
}

const prefixLen = 5 // https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

func (m *message) list(n *names) (string, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(m.name))
	if err != nil {
		return "", err
	}
	if len(m.bytes) < prefixLen {
		return "", errors.New("a message lacks gRPC's prefix")
	}
	body := n.message(m.bytes[prefixLen:], t.Descriptor())
	framed := append([]byte{m.bytes[0]}, binary.BigEndian.AppendUint32(nil, uint32(len(body)))...)
	var out bytes.Buffer
	err = wire.DecodeGRPC(&out, wire.Options{Format: wire.Messages}, m.name, bytes.NewReader(append(framed, body...)))
	return regexp.MustCompile(`(?m)^\|`).ReplaceAllString(out.String(), m.arrow), err
}
