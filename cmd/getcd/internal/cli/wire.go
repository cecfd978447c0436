package cli

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/cmd/getcd/internal/capture"
	"github.com/getcd/getcd/cmd/getcd/internal/exit"
	"github.com/getcd/getcd/wire"
)

func (a *app) wireCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "wire <subcommand>",
		Short:   "Show what etcd's protocol looks like on the wire",
		GroupID: groupUtility,
	}
	cmd.AddCommand(a.wireDecodeCommand(), a.wireProtosetCommand())
	return cmd
}

// decoding are the flags of wire decode.
type decoding struct {
	as, typ, from, answers, input, format string

	given bool // the flag --as is
}

func (a *app) wireDecodeCommand() *cobra.Command {
	var d decoding
	cmd := &cobra.Command{
		Use:   "decode [options] [file]",
		Short: "List recorded bytes, from a file or stdin, with their meaning",
		Long: `List recorded bytes, from a file or stdin, with their meaning.

One protobuf message:
  $ echo '0a 03 66 6f 6f 12 03 62 61 72' | getcd wire decode --as=message --type=etcdserverpb.PutRequest --input=hex

Messages with gRPC's prefix of five bytes each, as in the body of a request:
  $ getcd wire decode --as=grpc --type=etcdserverpb.RangeResponse body.bin

What a client has sent on an HTTP/2 connection, and what it got:
  $ getcd wire decode --as=http2 --answers=received.bin sent.bin

A packet capture of connections without TLS, pcap or pcapng, which is known by its beginning:
  $ tcpdump -i any -s 0 -w - tcp port 2379 | getcd wire decode`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := applyEnv(cmd.InheritedFlags(), a.environ, a.Err); err != nil {
				return err
			}
			d.given = cmd.Flags().Changed("as")
			return d.run(a, args)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&d.as, "as", "http2", "what the bytes are: http2 (one direction of a connection), pcap (a packet capture), grpc (messages with gRPC's prefix) or message")
	fs.StringVar(&d.typ, "type", "", "type of the messages, such as etcdserverpb.PutRequest; needed with --as=message")
	fs.StringVar(&d.from, "from", "client", "who has sent the bytes, with --as=http2: client or server")
	fs.StringVar(&d.answers, "answers", "", "file with what the server has sent, with --as=http2")
	fs.StringVar(&d.input, "input", "raw", "how the bytes are written: raw or hex")
	fs.StringVar(&d.format, "format", string(wire.Frames), "how to show them: "+formatNames())
	complete(cmd, "as", "http2", "pcap", "grpc", "message")
	complete(cmd, "from", "client", "server")
	complete(cmd, "input", "raw", "hex")
	complete(cmd, "format", traceFormats()...)
	return cmd
}

func (d *decoding) run(a *app, args []string) error {
	for _, f := range []struct {
		name, value string
		want        []string
	}{
		{"as", d.as, []string{"http2", "pcap", "grpc", "message"}},
		{"from", d.from, []string{"client", "server"}},
		{"input", d.input, []string{"raw", "hex"}},
		{"format", d.format, traceFormats()},
	} {
		if !slices.Contains(f.want, f.value) {
			return exit.Errorf(exit.BadArgs, "bad value %q for --%s: want one of %s", f.value, f.name, strings.Join(f.want, ", "))
		}
	}
	switch {
	case d.as == "message" && d.typ == "":
		return exit.Errorf(exit.BadArgs, "--as=message needs --type, the message's full name, such as etcdserverpb.PutRequest")
	case d.as != "http2" && (d.answers != "" || d.from != "client"):
		return exit.Errorf(exit.BadArgs, "--answers and --from need --as=http2, not %s", d.as)
	case d.from == "server" && d.answers != "":
		return exit.Errorf(exit.BadArgs, "--answers is what the server has sent, and so is the input with --from=server")
	case d.as == "http2" && d.typ != "":
		return exit.Errorf(exit.BadArgs, "--type has no use with --as=http2: the requests name their methods")
	case d.as == "pcap" && d.typ != "":
		return exit.Errorf(exit.BadArgs, "--type has no use with --as=pcap: the requests name their methods")
	}
	in, done, err := d.open(a.In, args)
	if err != nil {
		return err
	}
	defer done()
	opts := a.flags.traceOptions(d.format)
	if !d.given && d.from == "client" && d.answers == "" {
		b := bufio.NewReader(in)
		if head, _ := b.Peek(4); capture.Is(head) { // Peek's error comes again
			d.as = "pcap"
		}
		in = b
	}
	switch d.as {
	case "pcap":
		sum, err := capture.Decode(a.Out, opts, in)
		if err != nil {
			return exit.With(exit.BadArgs, err)
		}
		_, err = fmt.Fprintln(a.Err, "getcd: "+sum.String())
		return err
	case "message":
		return exit.With(exit.BadArgs, wire.DecodeMessage(a.Out, opts, d.typ, in))
	case "grpc":
		return exit.With(exit.BadArgs, wire.DecodeGRPC(a.Out, opts, d.typ, in))
	}
	client, server := in, io.Reader(nil)
	if d.from == "server" {
		client, server = nil, in
	}
	if d.answers != "" {
		answers, done, err := d.open(nil, []string{d.answers})
		if err != nil {
			return err
		}
		defer done()
		server = answers
	}
	return wire.DecodeHTTP2(a.Out, opts, client, server)
}

// open opens the file that args name, or stdin.
func (d *decoding) open(stdin io.Reader, args []string) (_ io.Reader, done func(), _ error) {
	in, done := stdin, func() {}
	if len(args) > 0 && (args[0] != "-" || stdin == nil) {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, nil, exit.With(exit.BadArgs, err)
		}
		in, done = f, func() { _ = f.Close() } // opened for reading
	}
	if d.input != "hex" {
		return in, done, nil
	}
	defer done()
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, nil, err
	}
	text = bytes.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == ':' || r == ',' {
			return -1
		}
		return r
	}, text)
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return nil, nil, exit.With(exit.BadArgs, fmt.Errorf("the input is not hexadecimal: %w", err))
	}
	return bytes.NewReader(b), func() {}, nil
}

func (a *app) wireProtosetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "protoset",
		Short: "Write what grpcurl has to know of etcd's services",
		Long: `Write what grpcurl has to know of etcd's services, which do not tell it by themselves:

  $ getcd wire protoset > etcd.protoset
  $ grpcurl -protoset etcd.protoset -plaintext -d '{"key":"Zm9v"}' 127.0.0.1:2379 etcdserverpb.KV/Range`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := proto.Marshal(wire.DescriptorSet())
			if err != nil {
				return err
			}
			_, err = a.Out.Write(b)
			return err
		},
	}
}
