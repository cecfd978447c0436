package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/lease"
	"github.com/getcd/getcd/lock"
)

func (a *app) lockCommand() *cobra.Command {
	var ttl int64 // an int may have 32 bits
	var loss onLoss
	cmd := &cobra.Command{
		Use:   "lock <lockname> [exec-command arg1 arg2 ...]",
		Short: "Acquire a lock, and hold it or run a command under it",
		Long: `Wait until the lock is acquired, then run the command, and release the lock
when it ends. The exit status is the command's. Its environment has
ETCD_LOCK_KEY, the key that stands for the lock, and ETCD_LOCK_REV, the revision
at which it was created: a number that grows with every holder of the lock.

When the lock is lost, somebody else may hold it. So the command is stopped: it
gets SIGTERM and, if it goes on for longer than --grace-period, SIGKILL. The exit
status is then never 0. The signals go to the command's own process, so a shell
script should end with 'exec', or pass SIGTERM on. --keep-running lets the command
go on without the lock.

Without a command the key is printed, and the lock is held until the process is
interrupted (SIGINT or SIGTERM).

Flags of the command itself come after '--':
  $ getcd lock name -- sh -c 'echo "$ETCD_LOCK_KEY"'`,
		GroupID: groupConcurrency,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit.Errorf(exit.BadArgs, "lock needs the name of a lock, and may be given a command to run")
			}
			if ttl < 1 {
				ttl = 60 // as with etcdctl, whose session ignores such a TTL
			}
			if ttl > lease.MaxTTL { // a Duration has no room for it
				return exit.Errorf(exit.Failure, "bad value %d for --ttl: want at most %d: %w", ttl, int64(lease.MaxTTL), rpctypes.ErrLeaseTTLTooLarge)
			}
			if loss.grace < 0 {
				return exit.Errorf(exit.BadArgs, "bad value %v for --grace-period: want 0 or more", loss.grace)
			}
			s, err := a.openLock(cmd, len(args) > 1)
			if err != nil {
				return err
			}
			defer s.close()
			m, err := lock.New(s.Conn(), args[0], lock.WithTTL(time.Duration(ttl)*time.Second), lock.WithLeaseService(s.Lease))
			if err != nil {
				return exit.With(exit.BadArgs, err)
			}
			return s.runLocked(cmd.Context(), m, args[1:], loss)
		},
	}
	cmd.Flags().Int64Var(&ttl, "ttl", 10, "seconds after which the lock is free when its holder is gone; 60 if below 1")
	cmd.Flags().DurationVar(&loss.grace, "grace-period", 5*time.Second, "time from SIGTERM to SIGKILL for a command whose lock is lost")
	cmd.Flags().BoolVar(&loss.keepRunning, "keep-running", false, "do not stop the command when the lock is lost")
	return cmd
}

// onLoss says what becomes of the command when the lock is lost.
type onLoss struct {
	keepRunning bool
	grace       time.Duration
}

// openLock is open; the answer is printed only when no command is run.
func (a *app) openLock(cmd *cobra.Command, runs bool) (*session, error) {
	s, err := a.settings(cmd)
	if err != nil {
		return nil, err
	}
	p, err := s.printer(output.KeyValues, false)
	if _, unsupported := errors.AsType[*output.UnsupportedError](err); err != nil && (!unsupported || !runs) {
		return nil, err
	}
	c, err := s.connect(cmd.Context(), p)
	if err != nil {
		return nil, err
	}
	if err := c.reach(cmd.Context()); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// reach waits for a connection within the command's time, for commands that go on
// for as long as it takes: to wait for a lock may take forever, to wait for a
// cluster should not.
func (s *session) reach(ctx context.Context) error {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	return s.WaitReady(ctx)
}

// runLocked acquires m, runs command or waits for a signal, and releases m.
func (s *session) runLocked(ctx context.Context, m *lock.Mutex, command []string, loss onLoss) (err error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	if err := acquire(ctx, m, signals); err != nil {
		return err
	}
	defer func() {
		// Whatever has ended ctx, the lock is not to be left behind.
		ctx, cancel := s.timeout(context.WithoutCancel(ctx))
		defer cancel()
		// The command's failure, or the loss of the lock, tells more.
		if unlockErr := m.Unlock(ctx); err == nil {
			err = unlockErr
		}
	}()
	if len(command) > 0 {
		return s.settings.runCommand(ctx, m, command, loss, signals)
	}
	if err := s.printHolder(ctx, m.Key(), "lock"); err != nil {
		return err
	}
	select {
	case <-signals:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-m.Done():
		return m.Err()
	}
}

// acquire locks m unless a signal comes first.
func acquire(ctx context.Context, m *lock.Mutex, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	acquired := make(chan error, 1)
	go func() { acquired <- m.Lock(ctx) }()
	select {
	case err := <-acquired:
		return err
	case sig := <-signals:
		cancel()
		// Lock leaves nothing behind when it returns an error. It may have been
		// faster than the signal.
		if err := <-acquired; err != nil {
			return fmt.Errorf("%v while waiting for the lock: %w", sig, err)
		}
		err := fmt.Errorf("%v while waiting for the lock", sig)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer cancel()
		return errors.Join(err, m.Unlock(ctx))
	}
}

// unlockTimeout bounds the release of a lock that nobody wants any more.
const unlockTimeout = 3 * time.Second

// printHolder prints the key that stands for a lock or a leadership, as get does.
func (s *session) printHolder(ctx context.Context, key, what string) error {
	ctx, cancel := s.timeout(ctx)
	defer cancel()
	r, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	if len(r.Kvs) == 0 {
		return fmt.Errorf("the %s was lost as soon as it was won", what)
	}
	return s.print.Get((*pb.RangeResponse)(r))
}

// runCommand runs the command under the lock and returns its exit status. A
// terminal sends its interrupts to the command as well, so that only SIGTERM is
// passed on.
func (s *settings) runCommand(ctx context.Context, m *lock.Mutex, command []string, loss onLoss, signals <-chan os.Signal) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = lockEnv(m, s.environ)
	cmd.Stdout, cmd.Stderr = s.Out, s.Err
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var lostErr error
	var overdue <-chan time.Time
	for lost := m.Done(); ; {
		select {
		case err := <-ended:
			if ee, ok := errors.AsType[*exec.ExitError](err); ok && (lostErr == nil || ee.Exited()) {
				return exit.With(ee.ExitCode(), errors.Join(err, lostErr))
			}
			return errors.Join(err, lostErr)
		case sig := <-signals:
			if sig == syscall.SIGTERM {
				_ = cmd.Process.Signal(sig) // it may have ended just now
			}
		case <-lost:
			lost = nil
			lostErr = fmt.Errorf("the lock was lost while the command ran: %w", m.Err())
			if loss.keepRunning {
				say(s.Err, "Warning: the command goes on without the lock: %v\n", m.Err())
				continue
			}
			say(s.Err, "Warning: the command is stopped, since the lock was lost: %v\n", m.Err())
			overdue = time.After(loss.grace)
			if cmd.Process.Signal(syscall.SIGTERM) != nil { // Windows has none; or the command has just ended
				_ = cmd.Process.Kill()
			}
		case <-overdue:
			overdue = nil
			say(s.Err, "Warning: the command is killed: it has not ended within %v\n", loss.grace)
			_ = cmd.Process.Kill() // it may have ended just now
		}
	}
}

// lockEnv is environ with what the command should know of the lock, in place of
// what it says of a lock around this one.
func lockEnv(m *lock.Mutex, environ []string) []string {
	env := []string{"ETCD_LOCK_KEY=" + m.Key(), fmt.Sprintf("ETCD_LOCK_REV=%d", m.Token())}
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); name != "ETCD_LOCK_KEY" && name != "ETCD_LOCK_REV" {
			env = append(env, kv)
		}
	}
	return env
}
