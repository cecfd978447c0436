package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/cmd/getcd/internal/output"
	"github.com/getcd/getcd/cmd/getcd/internal/request"
	"github.com/getcd/getcd/cmd/getcd/internal/txn"
	"github.com/getcd/getcd/kv"
)

func (a *app) putCommand() *cobra.Command {
	var req request.Put
	cmd := &cobra.Command{
		Use:   "put [options] <key> <value> (<value> can also be given from stdin)",
		Short: "Put a key and its value into the store",
		Long: `Put a key and its value into the store.

A value that is not among the arguments is read from stdin:
  $ getcd put key < file

An argument that starts with '-' is taken for a flag, unless it comes after '--':
  $ getcd put key -- -1`,
		GroupID: groupKV,
		RunE: func(cmd *cobra.Command, args []string) error {
			op, err := req.Op(args, a.In)
			if err != nil {
				return err
			}
			return a.do(cmd, op, func(p output.Printer, r kv.OpResponse) error {
				return p.Put((*pb.PutResponse)(r.Put()))
			})
		},
	}
	req.Register(cmd.Flags())
	return cmd
}

func (a *app) delCommand() *cobra.Command {
	var req request.Delete
	cmd := &cobra.Command{
		Use:     "del [options] <key> [range_end]",
		Short:   "Delete a key, or the keys from <key> up to but without [range_end]",
		GroupID: groupKV,
		RunE: func(cmd *cobra.Command, args []string) error {
			op, err := req.Op(args, a.warnRange(cmd.Context()))
			if err != nil {
				return err
			}
			return a.do(cmd, op, func(p output.Printer, r kv.OpResponse) error {
				return p.Delete((*pb.DeleteRangeResponse)(r.Del()))
			})
		},
	}
	req.Register(cmd.Flags())
	return cmd
}

// do sends one operation within the command's time and prints the answer.
func (a *app) do(cmd *cobra.Command, op kv.Op, show func(output.Printer, kv.OpResponse) error) error {
	s, err := a.open(cmd, output.KeyValues)
	if err != nil {
		return err
	}
	defer s.close()
	ctx, cancel := s.timeout(cmd.Context())
	defer cancel()
	r, err := s.Do(ctx, op)
	if err != nil {
		return err
	}
	return show(s.print, r)
}

// warnRange tells the user which keys are about to go, and leaves the time to
// think better of it.
func (a *app) warnRange(ctx context.Context) func(from, to string) error {
	return func(from, to string) error {
		const pause = 2 * time.Second
		say(a.Err, "Warning: all keys from %q up to %q will be deleted in %v. Interrupt now to prevent it. --range avoids the delay.\n", from, to, pause)
		t := time.NewTimer(pause)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *app) getCommand() *cobra.Command {
	var req request.Get
	cmd := &cobra.Command{
		Use:     "get [options] <key> [range_end]",
		Short:   "Get a key, or the keys from <key> up to but without [range_end]",
		GroupID: groupKV,
		RunE: func(cmd *cobra.Command, args []string) error {
			op, err := req.Op(args)
			if err != nil {
				return err
			}
			s, err := a.openGet(cmd, req.CountOnly, req.ValueOnly)
			if err != nil {
				return err
			}
			defer s.close()
			ctx, cancel := s.timeout(cmd.Context())
			defer cancel()
			var r *pb.RangeResponse
			if req.Stream {
				r, err = s.getStream(ctx, req.RangeRequest(op))
			} else {
				var or kv.OpResponse
				if or, err = s.Do(ctx, op); err == nil {
					r = (*pb.RangeResponse)(or.Get())
				}
			}
			if err != nil {
				return err
			}
			return s.print.Get(r)
		},
	}
	req.Register(cmd.Flags())
	complete(cmd, "consistency", "l", "s")
	complete(cmd, "order", "ASCEND", "DESCEND")
	complete(cmd, "sort-by", "CREATE", "KEY", "MODIFY", "VALUE", "VERSION")
	return cmd
}

// openGet is open with the checks that tie get's flags to output formats.
func (a *app) openGet(cmd *cobra.Command, countOnly, valueOnly bool) (*session, error) {
	s, err := a.settings(cmd)
	if err != nil {
		return nil, err
	}
	p, err := s.printer(output.KeyValues, valueOnly)
	if _, unknown := errors.AsType[*output.UnknownFormatError](err); unknown {
		return nil, err
	}
	// Simple output has no place for a count, and the other formats would show
	// an empty result; etcdctl allows fields alone.
	if countOnly && s.flags.writeOut != output.FormatFields {
		return nil, exit.Errorf(exit.BadArgs, "--count-only needs --write-out=fields, not %s", s.flags.writeOut)
	}
	if valueOnly && s.flags.writeOut != output.FormatSimple {
		return nil, exit.Errorf(exit.BadArgs, "--print-value-only needs --write-out=simple, not %s", s.flags.writeOut)
	}
	if err != nil {
		return nil, err
	}
	return s.connect(cmd.Context(), p)
}

// getStream reads a range in the parts that the server chooses and joins them.
func (s *session) getStream(ctx context.Context, req *pb.RangeRequest) (*pb.RangeResponse, error) {
	stream, err := pb.NewKVClient(s.Conn()).RangeStream(ctx, req)
	if err != nil {
		return nil, err
	}
	whole := &pb.RangeResponse{}
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return nil, err
		}
		// Of repeated fields Merge appends, of the others the last one stays:
		// the count and the revision come with the last part.
		proto.Merge(whole, part.GetRangeResponse())
	}
}

func (a *app) txnCommand() *cobra.Command {
	var interactive bool
	cmd := &cobra.Command{
		Use:   "txn [options]",
		Short: "Apply the requests read from stdin in one transaction",
		Long: `Apply the requests read from stdin in one transaction.

A transaction has three sections, each ended by an empty line:
  1. comparisons, such as mod("key1") > "0";
  2. the requests (put, get, del) for when all comparisons hold;
  3. the requests for when one does not.

For example:
  mod("key1") > "0"

  put key1 "overwrote-key1"

  put key1 "created-key1"
  put key2 "some extra key"
  (and an empty line)

A comparison is of version, create, mod, value or lease, by =, !=, < or >.`,
		GroupID: groupKV,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return exit.Errorf(exit.BadArgs, "txn takes no arguments, got %q: the transaction is read from stdin", args)
			}
			s, err := a.open(cmd, output.KeyValues)
			if err != nil {
				return err
			}
			defer s.close()
			r := txn.Reader{WarnRange: a.warnRange(cmd.Context())}
			if interactive {
				r.Prompt = func(heading string) error {
					_, err := fmt.Fprintln(a.Out, heading)
					return err
				}
			}
			t, err := r.Read(a.In)
			if err != nil {
				return err
			}
			ctx, cancel := s.timeout(cmd.Context())
			defer cancel()
			resp, err := s.Txn(ctx).If(t.If...).Then(t.Then...).Else(t.Else...).Commit()
			if err != nil {
				return err
			}
			return s.print.Txn((*pb.TxnResponse)(resp))
		},
	}
	cmd.Flags().BoolVarP(&interactive, "interactive", "i", false, "ask for each section")
	return cmd
}
