package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
)

// newPassword reads the password that user is to have. Interactively it asks
// for it and asks again, on stdout as etcdctl does; otherwise it takes the
// first word of stdin, which may be empty.
func (a *app) newPassword(user string, interactive bool) (string, error) {
	if !interactive {
		var word string
		// What ends the word, and whether one came, does not matter: the server
		// says what it thinks of an empty password.
		_, _ = fmt.Fscanf(a.In, "%s", &word)
		return word, nil
	}
	first, err := a.secret("Password of " + user + ": ")
	if err != nil {
		return "", err
	}
	if first == "" {
		return "", exit.Errorf(exit.BadArgs, "the password is empty")
	}
	second, err := a.secret("Type password of " + user + " again for confirmation: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", exit.Errorf(exit.BadArgs, "the two passwords are different")
	}
	return first, nil
}

// secret asks for one line of stdin, without the spaces around it. On a
// terminal what is typed is not shown.
func (a *app) secret(prompt string) (string, error) {
	say(a.Out, "%s", prompt)
	defer say(a.Out, "\n")
	var (
		line string
		err  error
	)
	if f, ok := a.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		line, err = readHidden(int(f.Fd()))
	} else {
		line, err = readLine(a.In)
	}
	if _, ok := errors.AsType[*exit.Error](err); ok {
		return "", err // a signal, which has its own status
	}
	if err != nil {
		return "", exit.With(exit.BadArgs, fmt.Errorf("asking for a password failed: %w", err))
	}
	return strings.TrimSpace(line), nil
}

// readLine reads one line and nothing of the next, which the next question
// reads. The end of the input ends the line too.
func readLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := r.Read(b)
		if n == 1 {
			if b[0] == '\n' {
				return string(line), nil
			}
			line = append(line, b[0])
		}
		if errors.Is(err, io.EOF) {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
	}
}
