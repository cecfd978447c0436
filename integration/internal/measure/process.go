// Package measure has what the programs share that measure clients side by side: each
// measurement in a process of its own, medians, and flags with lists.
package measure

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// taskEnv has the task of a process that measures: the program's name for it, a space, and
// the task as JSON.
const taskEnv = "GETCD_MEASURE_TASK"

// message is a line of the output of a process that measures.
type message[R any] struct {
	Ready  bool `json:",omitempty"`
	Result *R   `json:",omitempty"`
}

// Parent is the process that started this one.
type Parent struct{ lines *bufio.Scanner }

// Ready tells the parent to begin with what Process calls during.
func (p *Parent) Ready() error { return json.NewEncoder(os.Stdout).Encode(message[int]{Ready: true}) }

// Next waits for what during says, and returns io.EOF when during has ended.
func (p *Parent) Next() (string, error) {
	if !p.lines.Scan() {
		return "", errors.Join(p.lines.Err(), io.EOF)
	}
	return p.lines.Text(), nil
}

// Child measures and exits, if Process started this process under that name. Otherwise it
// does nothing.
func Child[T, R any](name string, measure func(ctx context.Context, task T, parent *Parent) (R, error)) {
	whose, text, _ := strings.Cut(os.Getenv(taskEnv), " ")
	if whose != name {
		return
	}
	var task T
	err := json.Unmarshal([]byte(text), &task)
	if err == nil {
		var r R
		if r, err = measure(context.Background(), task, &Parent{bufio.NewScanner(os.Stdin)}); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(message[R]{Result: &r})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Process has a process of its own measure the task: this program, which must call Child
// with the same name and types first of all. When that process is ready, during is called,
// unless it is nil; its context ends with the process's result, or its end. What it says is the process's next
// line.
func Process[T, R any](ctx context.Context, name string, task T, stderr io.Writer, during func(ctx context.Context, say func(string) error) error) (R, error) {
	var none R
	text, err := json.Marshal(task)
	if err != nil {
		return none, err
	}
	self, err := os.Executable()
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var problems bytes.Buffer
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), taskEnv+"="+name+" "+string(text))
	cmd.Stderr = io.MultiWriter(stderr, &problems)
	in, err := cmd.StdinPipe()
	if err != nil {
		return none, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return none, err
	}
	if err := cmd.Start(); err != nil {
		return none, err
	}
	result, err := follow[R](ctx, cancel, out, in, during) // cancel kills the process
	if exit := cmd.Wait(); exit != nil && problems.Len() > 0 {
		exit = fmt.Errorf("%w: %s", exit, bytes.TrimSpace(problems.Bytes()))
		return none, errors.Join(err, exit)
	} else if exit != nil {
		return none, errors.Join(err, exit)
	}
	return result, err
}

// follow reads what the process says until it has its result.
func follow[R any](ctx context.Context, kill func(), out io.Reader, in io.WriteCloser, during func(context.Context, func(string) error) error) (result R, err error) {
	ctx, ended := context.WithCancel(ctx)
	say := func(line string) error { _, err := io.WriteString(in, line+"\n"); return err }
	done := make(chan error, 1)
	started := false
	defer func() {
		ended()
		if started {
			if bad := <-done; bad != nil && !errors.Is(bad, context.Canceled) {
				err = errors.Join(bad, err)
			}
		}
	}()
	for lines := json.NewDecoder(out); ; {
		var m message[R]
		if err := lines.Decode(&m); err != nil {
			return result, fmt.Errorf("the process ended without a result: %w", err)
		}
		switch {
		case m.Result != nil:
			return *m.Result, nil
		case started || during == nil:
			_ = in.Close()
		default:
			started = true
			go func() {
				err := during(ctx, say)
				switch {
				case err == nil:
					err = in.Close()
				case ctx.Err() == nil:
					kill() // nothing else would end the process
				}
				done <- err
			}()
		}
	}
}
