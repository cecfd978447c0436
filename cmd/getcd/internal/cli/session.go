package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
)

// settings are what a command knows once the flags and the environment are
// read: what it needs to print, and to make clients.
type settings struct {
	*app

	flags *globalFlags
}

// settings reads the environment into the flags and checks them. It comes after
// the checks of a command's own arguments.
func (a *app) settings(cmd *cobra.Command) (*settings, error) {
	inherited := cmd.InheritedFlags()
	if err := applyEnv(inherited, a.environ, a.Err); err != nil {
		return nil, err
	}
	if a.flags.debug {
		logFlags(inherited, a.Err)
	}
	var empty error
	inherited.VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "cert", "key", "cacert":
			if f.Changed && f.Value.String() == "" {
				empty = exit.Errorf(exit.BadArgs, "bad value \"\" for --%s: want the name of a file", f.Name)
			}
		}
	})
	if empty != nil {
		return nil, empty
	}
	return &settings{app: a, flags: &a.flags}, a.flags.openTrace(a.Err)
}

// printer returns the printer for answers of kind k. valueOnly is for get.
func (s *settings) printer(k output.Kind, valueOnly bool) (output.Printer, error) {
	p, err := output.New(output.Options{
		Format: s.flags.writeOut, Hex: s.flags.hex, ValueOnly: valueOnly,
		Out: s.Out, Err: s.Err,
	})
	if err == nil {
		err = output.Check(s.flags.writeOut, k)
	}
	return p, exit.With(exit.BadFeature, err)
}

// dial makes a client for the endpoints. With a user it also logs in, because a
// refused password is reported by an exit status of its own.
func (s *settings) dial(ctx context.Context, endpoints []string, opts ...func(*client.Config)) (*client.Client, error) {
	c, err := dial(s.flags, endpoints, s.Err, s.password, opts...)
	if err != nil {
		return nil, err
	}
	if s.flags.user == "" || s.flags.token != "" {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.flags.commandTimeout)
	defer cancel()
	if err := c.WaitReady(ctx); err != nil {
		_ = c.Close() // the error of logging in is the one that tells
		return nil, exit.With(exit.BadConnection, err)
	}
	return c, nil
}

// password asks for the password at most once, however many clients need it.
func (s *settings) password() (string, error) {
	if s.asked == nil {
		pw, err := s.askPassword(s.Err)
		if err != nil {
			return "", err
		}
		s.asked = &pw
	}
	return *s.asked, nil
}

// session is what most commands work with: a client and a printer.
type session struct {
	*client.Client

	settings *settings
	print    output.Printer
}

// open makes a session whose answers are of kind k. Close it.
func (a *app) open(cmd *cobra.Command, k output.Kind) (*session, error) {
	s, err := a.settings(cmd)
	if err != nil {
		return nil, err
	}
	p, err := s.printer(k, false)
	if err != nil {
		return nil, err
	}
	return s.connect(cmd.Context(), p)
}

// once runs a command that is done with one answer, of kind k, within the
// command's time. For k that is output.Any, whether the format can show the
// answer is found out when it is there, so that the server's refusals come first
// as they do with etcdctl.
func (a *app) once(cmd *cobra.Command, k output.Kind, run func(context.Context, *session) error) error {
	s, err := a.open(cmd, k)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := s.timeout(cmd.Context())
	defer cancel()
	err = run(ctx, s)
	if _, ok := errors.AsType[*output.UnsupportedError](err); ok {
		return exit.With(exit.BadFeature, err)
	}
	return err
}

func (s *settings) connect(ctx context.Context, p output.Printer) (*session, error) {
	c, err := s.dial(ctx, s.flags.targets())
	if err != nil {
		return nil, err
	}
	return &session{Client: c, settings: s, print: p}, nil
}

// close ends the session's client.
//
//go:noinline
func (s *session) close() { _ = s.Close() } // client.Close has no error to return

// timeout bounds a short command.
//
//go:noinline
func (s *session) timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.settings.flags.commandTimeout)
}
