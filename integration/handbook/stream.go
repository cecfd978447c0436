package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/getcd/getcd/wire"
)

// step is what a page does with a stream.
type step struct {
	kind   stepKind
	text   string // what is sent; of an error, its name
	method string // of another call
	n      int    // how many answers
}

type stepKind uint8

const (
	sends  stepKind = iota // a message
	awaits                 // answers
	thens                  // another call, on another connection
	ends                   // and the server ends the stream
	cancels
	breaks // the server ends the stream with an error
)

func send(text string) step            { return step{kind: sends, text: text} }
func await(n int) step                 { return step{kind: awaits, n: n} }
func then(method, request string) step { return step{kind: thens, method: method, text: request} }
func finish() step                     { return step{kind: ends} }
func cancelStream() step               { return step{kind: cancels} }
func breakStream(name string) step     { return step{kind: breaks, text: name} }
func (s step) String() string          { return s.method + " {" + s.text + "}" }

// stream makes a stream, does the steps, and lists its frames; where another call comes in
// between, the listing says so.
func (p *page) stream(method string, steps ...step) (string, error) {
	return p.streamed(method, wire.Frames, steps)
}

// streamMessages is stream without the frames.
func (p *page) streamMessages(method string, steps ...step) (string, error) {
	return p.streamed(method, wire.Messages, steps)
}

func (p *page) streamed(method string, format wire.Format, steps []step) (string, error) {
	m, err := findMethod(method)
	if err != nil {
		return "", err
	}
	l, err := p.dial(wire.Options{Format: format})
	if err != nil {
		return "", err
	}
	ctx, done := p.context()
	defer done()
	// Of a method that takes one request, the request's own frame says that it is the last. An
	// END_STREAM that follows on its own may come before or after the answer to a server's ping.
	st, err := l.cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: true}, pathOf(m))
	if err != nil {
		return "", err
	}
	s := &streaming{page: p, method: m, line: l, stream: st, cancel: done}
	for i, step := range steps {
		if err := s.do(step); err != nil {
			return "", fmt.Errorf("%s, step %d: %w", method, i+1, err)
		}
	}
	if format == wire.Frames && steps[len(steps)-1].kind == cancels {
		if err := p.awaitFrames(l, 1, ">", "RST_STREAM"); err != nil {
			return "", err
		}
	}
	done()
	if _, err := l.close(); err != nil {
		return "", err
	}
	s.list()
	p.show(method)
	return "`" + method + "`\n\n" + fence("text", s.listing.String()), nil
}

type streaming struct {
	page    *page
	method  protoreflect.MethodDescriptor
	line    *line
	stream  grpc.ClientStream
	cancel  func()
	listing strings.Builder
	listed  int // bytes of the trace
}

func (s *streaming) do(st step) error {
	switch st.kind {
	case sends:
		m, err := newMessage(s.method.Input(), st.text)
		if err != nil {
			return err
		}
		return s.stream.SendMsg(m)
	case awaits:
		for range st.n {
			if err := s.receive(); err != nil {
				return err
			}
		}
	case thens:
		s.list()
		fmt.Fprintf(&s.listing, "# somebody else: %s\n", st)
		_, err := s.page.do(st.method, st.text)
		return err
	case ends:
		if err := s.stream.CloseSend(); err != nil {
			return err
		}
		if err := s.drain(); !errors.Is(err, io.EOF) {
			return err
		}
	case cancels:
		s.cancel()
		if err := s.drain(); status.Code(err) != codes.Canceled {
			return err
		}
	case breaks:
		want := rpcErrors[st.text]
		if err := s.drain(); status.Convert(err).Message() != status.Convert(want).Message() {
			return fmt.Errorf("got %w, want %w", errOrOK(err), want)
		}
	}
	return nil
}

func (s *streaming) receive() error {
	m, err := newMessage(s.method.Output(), "")
	if err != nil {
		return err
	}
	return s.stream.RecvMsg(m)
}

// drain reads the stream to its end.
func (s *streaming) drain() error {
	for {
		if err := s.receive(); err != nil {
			return err
		}
	}
}

// list adds to the listing what the trace has by now.
func (s *streaming) list() {
	s.line.tracer.Flush(callLimit)
	trace := s.line.out.String()
	for _, r := range records(trace[s.listed:]) {
		if strings.Contains(r.title, ", "+pathOf(s.method)+",") {
			for _, line := range r.lines {
				s.listing.WriteString(line + "\n")
			}
		}
	}
	s.listed = len(trace)
}
