package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/mirror"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/cmd/getcd/internal/progress"
	"github.com/getcd/getcd/watch"
)

// mirrorFlags are the flags of make-mirror.
type mirrorFlags struct {
	prefix, destPrefix string
	noDestPrefix       bool
	rev                int64
	maxTxnOps          uint

	cert, key, cacert string
	insecureTransport bool
	user, password    string
}

func (a *app) makeMirrorCommand() *cobra.Command {
	var f mirrorFlags
	cmd := &cobra.Command{
		Use:   "make-mirror [options] <destination>",
		Short: "Copy keys to another cluster, and every change of them",
		Long: `Copy the keys to the cluster at <destination>, and then every change of them,
until the process is interrupted. Every 30 s the number of keys that were copied,
and of changes that followed, is printed.

Keys in the destination that the source does not have stay. <destination> is an
endpoint as for --endpoints; several, separated by commas, are members of the one
cluster. Each change arrives once and in order, also when members fail, and the
revisions of a mirror grow as the source's do: one for each.

The mirror ends with an error when the source has compacted what it needs.`,
		GroupID: groupUtility,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return exit.Errorf(exit.BadArgs, "make-mirror needs one argument, the endpoint of the destination; got %d", len(args))
			case f.noDestPrefix && f.destPrefix != "":
				return exit.Errorf(exit.BadArgs, "--dest-prefix and --no-dest-prefix exclude each other: choose one")
			}
			return a.makeMirror(cmd, &f, args[0])
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.prefix, "prefix", "", "mirror the keys that start with this")
	fs.StringVar(&f.destPrefix, "dest-prefix", "", "what takes the prefix's place in the destination; the prefix itself, if empty")
	fs.BoolVar(&f.noDestPrefix, "no-dest-prefix", false, "leave the prefix out in the destination")
	fs.Int64Var(&f.rev, "rev", 0, "mirror the changes from this revision on, without the state before them")
	fs.UintVar(&f.maxTxnOps, "max-txn-ops", 128, "most changes to write in one transaction; 0 means no limit but the server's")
	fs.StringVar(&f.cert, "dest-cert", "", "file with the TLS certificate to show to the destination")
	fs.StringVar(&f.key, "dest-key", "", "file with the private key of --dest-cert")
	fs.StringVar(&f.cacert, "dest-cacert", "", "file with the CA certificates to check the destination against")
	fs.BoolVar(&f.insecureTransport, "dest-insecure-transport", true, "talk to the destination without TLS unless its endpoint or another flag asks for it")
	fs.StringVar(&f.user, "dest-user", "", "name[:password] to log in to the destination with; asks for the password when there is none")
	fs.StringVar(&f.password, "dest-password", "", "password to log in to the destination with; --dest-user is the name alone then")
	return cmd
}

// target is what the destination's client is made of: its own flags, and of the
// others those that are about connections as such.
func (f *mirrorFlags) target(all globalFlags, destination string) *globalFlags {
	all.endpoints = strings.Split(destination, ",")
	all.discoverySRV, all.discoverySRVName = "", ""
	all.cert, all.key, all.cacert = f.cert, f.key, f.cacert
	all.insecureTransport, all.insecureSkipVerify = f.insecureTransport, false
	all.user, all.password, all.token = f.user, f.password, ""
	return &all
}

func (f *mirrorFlags) config() mirror.Config {
	to := f.destPrefix
	if to == "" && !f.noDestPrefix {
		to = f.prefix
	}
	return mirror.Config{Prefix: f.prefix, DestPrefix: to, Rev: f.rev, MaxTxnOps: int(f.maxTxnOps)}
}

func (a *app) makeMirror(cmd *cobra.Command, f *mirrorFlags, destination string) error {
	s, err := a.settings(cmd)
	if err != nil {
		return err
	}
	p, err := output.New(output.Options{Format: s.flags.writeOut, Out: s.Out, Err: s.Err})
	if err != nil { // the count looks the same in all formats
		return exit.With(exit.BadFeature, err)
	}
	other := *a
	other.asked = nil
	other.askPassword = func(prompt io.Writer) (string, error) {
		say(prompt, "Destination ")
		return a.askPassword(prompt)
	}
	d := &settings{app: &other, flags: f.target(*s.flags, destination)}

	dest, err := d.connect(cmd.Context(), p)
	if err != nil {
		return destError(err)
	}
	defer dest.close()
	source, err := s.connect(cmd.Context(), p)
	if err != nil {
		return err
	}
	defer source.close()

	ctx, stop := untilSignal(cmd.Context())
	defer stop(nil)
	if err := dest.reach(ctx); err != nil {
		return outcome(ctx, destError(err))
	}
	if err := source.reach(ctx); err != nil {
		return outcome(ctx, err)
	}
	return outcome(ctx, a.runMirror(ctx, source, dest, f.config()))
}

// destError says which of the two clusters err is about.
func destError(err error) error {
	return exit.With(exit.Code(err), fmt.Errorf("the destination: %w", err))
}

// mirrorCountInterval is how often the count is printed.
const mirrorCountInterval = 30 * time.Second

// runMirror mirrors, and prints the count, until ctx ends or the mirror cannot go on.
func (a *app) runMirror(ctx context.Context, source, dest *session, cfg mirror.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var bar *progress.Bar
	defer func() { bar.Finish() }()
	cfg.Copying = func(done, total int64) {
		if bar == nil {
			bar = progress.Start(a.Err, total, progress.Items)
		}
		bar.Set(done, total)
	}
	cfg.Copied = func() { bar.Finish() }
	cfg.Warn = func(text string) { say(a.Err, "Warning: %s\n", text) }
	w := watch.New(source.Conn())
	defer func() { _ = w.Close() }() // it returns no error
	m := mirror.New(source, w, dest, cfg)

	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	tick := time.NewTicker(mirrorCountInterval)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			if _, err := fmt.Fprintln(a.Out, m.Count()); err != nil {
				cancel()
				return errors.Join(err, <-ended)
			}
		}
	}
}
