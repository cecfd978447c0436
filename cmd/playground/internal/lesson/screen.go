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

// screen is where a lesson prints its words, and tracers their records. It lists the
// tracers' bytes once more, with what names has for them.
type screen struct {
	names *names
	raw   bool // show all as it is

	mu      sync.Mutex // guards the fields below
	out     io.Writer
	methods []string // whose calls are shown; nil for all
	titles  bool     // show what was called, and no messages
	headers bool     // show all of a response's header, and not the revision alone
	calls   int      // shown so far
	ended   bool
	err     error // the first
}

func newScreen(out io.Writer, raw bool) *screen {
	return &screen{names: newNames(), raw: raw, out: out}
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

func (s *screen) titlesOnly(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.titles = on
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

// view is where one tracer writes to, one record at a time.
type view struct {
	*screen

	calls map[string]int // the number that is shown, by the tracer's; guarded by mu
}

func (s *screen) view() *view { return &view{s, make(map[string]int)} }

// Write takes a record of the tracer.
func (v *view) Write(record []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return len(record), nil
	}
	text := string(record)
	if !v.raw {
		var err error
		if text, err = v.listLocked(text); err != nil && v.err == nil {
			v.err = err
		}
	}
	v.printLocked(text)
	return len(record), nil
}

var (
	title  = regexp.MustCompile(`^# [0-9:.]+ call (\d+), /([\w.]+/\w+), (attempt \d+), to (.*), connection \d+, stream \d+(.*)$`)
	begins = regexp.MustCompile(`^[<>] 00000000  .{48} +message: ([\w.]+), `)
	broken = regexp.MustCompile(`: Unavailable: (error reading|connection error|transport is closing).*$`) // as the system has it
	took   = regexp.MustCompile(`, after [0-9.]+[µmn]?s$`)
	ids    = regexp.MustCompile(`  (cluster_id|member_id|raft_term): `)
)

// The columns of a line: an arrow, the offset, the bytes, and their meaning.
const (
	bytesAt   = 12
	meaningAt = bytesAt + 3*16
)

// listLocked lists a record again. It is nothing when there is nothing to show.
func (v *view) listLocked(record string) (string, error) {
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
			end := broken.ReplaceAllString(took.ReplaceAllString(m[5], ""), ": Unavailable: the connection broke")
			head = append(head, fmt.Sprintf("# call %d, %s, %s, to %s%s", v.callLocked(m[1], method), method, m[3], m[4], end))
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
		lines, err := m.list(v.names) // in any case, so that names knows what there was
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(lines) {
			if !v.titles && (v.headers || !ids.MatchString(line)) {
				out.WriteString(line)
			}
		}
	}
	failed := len(head) > 1 || len(head) > 0 && !strings.HasSuffix(head[0], ": OK") && !strings.Contains(head[0], "anceled")
	if !v.shownLocked(method) || len(messages) == 0 && !failed {
		return "", nil
	}
	return "\n" + v.names.text(strings.Join(head, "\n")) + "\n" + out.String(), nil
}

// callLocked counts the calls that are shown.
func (v *view) callLocked(n, method string) int {
	if !v.shownLocked(method) {
		return 0
	}
	if v.calls[n] == 0 {
		v.screen.calls++
		v.calls[n] = v.screen.calls
	}
	return v.calls[n]
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
