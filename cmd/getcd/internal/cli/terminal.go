package cli

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// askPassword asks for a password on the terminal that the process was started
// from, without showing what is typed. The prompt goes to prompt, which is not
// stdout: that belongs to the answer.
func askPassword(prompt io.Writer) (_ string, err error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		// Stdin may be a file with the value of a put; the terminal is still
		// there under its own name, on systems that have one.
		tty, err := os.Open("/dev/tty")
		if err != nil {
			return "", fmt.Errorf("there is no terminal to ask on; use --user name:password or --password: %w", err)
		}
		defer func() { _ = tty.Close() }() // opened for reading
		fd = int(tty.Fd())
	}
	say(prompt, "Password: ")
	defer say(prompt, "\n")
	b, err := term.ReadPassword(fd)
	return string(b), err
}

// say writes a message to the user. Where it cannot be written, there is nobody
// to tell.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
