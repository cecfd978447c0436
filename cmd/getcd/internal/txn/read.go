package txn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
	"github.com/getcd/getcd/kv"
)

// Text is a parsed transaction.
type Text struct {
	// If has the comparisons.
	If []kv.Cmp
	// Then has the requests to make if all comparisons hold.
	Then []kv.Op
	// Else has the requests to make otherwise.
	Else []kv.Op
}

// Reader reads transactions.
type Reader struct {
	// Prompt is called with a heading before each section is read. Nil means no
	// prompts. Its error ends the reading.
	Prompt func(heading string) error
	// WarnRange is called for a del that has the end of a range but not --range
	// (see [request.Delete.Op]). Nil means no warning.
	WarnRange func(from, to string) error
}

// Read reads one transaction from r. Its errors have exit statuses (package
// exit): InvalidInput if a line cannot be parsed or the input ends early, and
// those of put, get and del if a request is invalid.
func (rd *Reader) Read(r io.Reader) (*Text, error) {
	br := bufio.NewReader(r)
	var t Text
	err := rd.section(br, "compares:", func(line string) error {
		c, err := ParseCompare(line)
		t.If = append(t.If, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		heading string
		ops     *[]kv.Op
	}{
		{"success requests (get, put, del):", &t.Then},
		{"failure requests (get, put, del):", &t.Else},
	} {
		err := rd.section(br, s.heading, func(line string) error {
			op, err := rd.ParseRequest(line)
			*s.ops = append(*s.ops, op)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return &t, nil
}

// section passes each line up to the next empty one to parse.
func (rd *Reader) section(r *bufio.Reader, heading string, parse func(line string) error) error {
	if rd.Prompt != nil {
		if err := rd.Prompt(heading); err != nil {
			return err
		}
	}
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return exit.Errorf(exit.InvalidInput, "unexpected end of input: every section of a transaction, the last one too, ends with an empty line: %w", err)
		}
		if err != nil {
			return exit.With(exit.InvalidInput, err)
		}
		line = strings.TrimSpace(line)
		if line == "" {
			return nil
		}
		if err := parse(line); err != nil {
			return exit.With(exit.InvalidInput, err)
		}
	}
}

// ParseRequest parses one request, such as put key1 "some value".
func (rd *Reader) ParseRequest(line string) (kv.Op, error) {
	words, err := Words(line)
	if err != nil {
		return kv.Op{}, exit.With(exit.InvalidInput, err)
	}
	if len(words) < 2 {
		return kv.Op{}, exit.Errorf(exit.InvalidInput, "invalid txn request: %s: want put, get or del and a key", line)
	}
	fs := pflag.NewFlagSet(words[0], pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	build, err := rd.builder(words[0], fs)
	if err == nil {
		err = fs.Parse(words[1:])
	}
	if err != nil {
		return kv.Op{}, exit.Errorf(exit.InvalidInput, "invalid txn request: %s: %w", line, err)
	}
	return build(fs.Args())
}

// builder finds the request with the name verb, which may be abbreviated, and
// defines its flags.
func (rd *Reader) builder(verb string, fs *pflag.FlagSet) (func(args []string) (kv.Op, error), error) {
	switch {
	case verb == "":
	case strings.HasPrefix("put", verb):
		var p request.Put
		p.Register(fs)
		// stdin has the transaction itself, so a value cannot come from there.
		return func(args []string) (kv.Op, error) { return p.Op(args, nil) }, nil
	case strings.HasPrefix("get", verb):
		var g request.Get
		g.Register(fs)
		return g.Op, nil
	case strings.HasPrefix("del", verb):
		var d request.Delete
		d.Register(fs)
		return func(args []string) (kv.Op, error) { return d.Op(args, rd.warnRange) }, nil
	}
	return nil, fmt.Errorf("unknown request %q: want put, get or del", verb)
}

func (rd *Reader) warnRange(from, to string) error {
	if rd.WarnRange == nil {
		return nil
	}
	return rd.WarnRange(from, to)
}
