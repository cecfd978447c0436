package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// askPassword takes a line of stdin for a password, as etcdctl does. If there is none, or
// stdin is a terminal, it asks on the terminal that the process was started from, without
// showing what is typed. The prompt goes to prompt, which is not stdout: that belongs to
// the answer.
func askPassword(prompt io.Writer) (_ string, err error) {
	say(prompt, "Password: ")
	defer say(prompt, "\n")
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		if line, _ := readLine(os.Stdin); line != "" { // an error is as good as no line
			return strings.TrimSpace(line), nil
		}
		// Stdin may be a file that had the value of a put; the terminal is still
		// there under its own name, on systems that have one.
		tty, err := os.Open("/dev/tty")
		if err != nil {
			return "", fmt.Errorf("there is no terminal to ask on; use --user name:password or --password: %w", err)
		}
		defer func() { _ = tty.Close() }() // opened for reading
		fd = int(tty.Fd())
	}
	return readHidden(fd)
}

// readHidden reads a line from a terminal without showing what is typed. A
// signal that ends it leaves the terminal as it was.
func readHidden(fd int) (string, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	ctx, stop := untilSignal(context.Background())
	defer stop(nil)
	type typed struct {
		line []byte
		err  error
	}
	// A read of a terminal cannot be broken off: after a signal this goroutine
	// stays, for the moment that the process still has.
	answer := make(chan typed, 1)
	go func() {
		b, err := term.ReadPassword(fd)
		answer <- typed{b, err}
	}()
	select {
	case t := <-answer:
		return string(t.line), t.err
	case <-ctx.Done():
		_ = term.Restore(fd, before) // there is nothing else to try
		return "", outcome(ctx, context.Cause(ctx))
	}
}

// say writes a message to the user. Where it cannot be written, there is nobody
// to tell.
//
//go:noinline
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
