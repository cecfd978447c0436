package output

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// The formats, as --write-out names them.
const (
	FormatSimple   = "simple"
	FormatFields   = "fields"
	FormatJSON     = "json"
	FormatTable    = "table"
	FormatProtobuf = "protobuf"
)

// Formats lists the format names in the order in which help texts show them.
func Formats() []string {
	return []string{FormatFields, FormatJSON, FormatProtobuf, FormatSimple, FormatTable}
}

// Kind groups responses by the formats that can show them.
type Kind int

const (
	// KeyValues are the responses of put, get, del, txn and watch.
	KeyValues Kind = iota
	// Leases are the responses of every lease command but revoke.
	Leases
	// LeaseRevocation is the response of lease revoke.
	LeaseRevocation
	// Members is the response of member list.
	Members
	// Endpoints are the results of endpoint status, health and hashkv.
	Endpoints
	// Administration are the responses of the role commands, of changes to users,
	// and of the alarm commands.
	Administration
	// Operations are the responses that etcdctl's fields format does not support:
	// those of membership changes, move-leader, downgrade, user get, user list
	// and auth status.
	Operations
	// Any are the responses for which every format is accepted: those that look
	// the same in all formats (auth enable, auth disable, compaction and defrag),
	// and those of queries, which do no harm if the printer refuses the result.
	Any
)

// Printer prints responses. Its methods return an error of writing, or an
// [UnsupportedError] if the format cannot show that kind of response.
type Printer interface {
	Put(r *pb.PutResponse) error
	Get(r *pb.RangeResponse) error
	Delete(r *pb.DeleteRangeResponse) error
	Txn(r *pb.TxnResponse) error
	// Watch prints a response of a watch, without its ID and the reason of a
	// cancellation.
	Watch(r *pb.WatchResponse) error

	LeaseGrant(r *pb.LeaseGrantResponse) error
	LeaseRevoke(id int64, r *pb.LeaseRevokeResponse) error
	LeaseKeepAlive(r *pb.LeaseKeepAliveResponse) error
	// LeaseTimeToLive also prints the attached keys if keys is true and the
	// format makes that optional.
	LeaseTimeToLive(r *pb.LeaseTimeToLiveResponse, keys bool) error
	LeaseList(r *pb.LeaseLeasesResponse) error
	// LeaseEnded says that a lease that was kept alive is gone. Only the simple
	// format prints it.
	LeaseEnded(id int64) error

	MemberList(r *pb.MemberListResponse) error
	// MemberAdd prints the addition of a member with the given name and with
	// peerURLs as the user wrote them. The simple format also prints the
	// environment in which to start the member.
	MemberAdd(name, peerURLs string, r *pb.MemberAddResponse) error
	// MemberChange prints any other change of the membership. The simple format
	// prints sentence.
	MemberChange(sentence string, r MemberChange) error

	EndpointHealth(hs []EndpointHealth) error
	EndpointStatus(ss []EndpointStatus) error
	EndpointHashKV(hs []EndpointHashKV) error

	Alarm(r *pb.AlarmResponse) error
	AuthStatus(r *pb.AuthStatusResponse) error
	Role(name string, r *pb.AuthRoleGetResponse) error
	RoleList(r *pb.AuthRoleListResponse) error
	User(name string, r *pb.AuthUserGetResponse) error
	UserList(r *pb.AuthUserListResponse) error

	// Done prints a response that only confirms success. The simple format prints
	// sentence. It is for responses of kind [Administration].
	Done(sentence string, r Acknowledgement) error
	// Report is Done for responses of kind [Operations].
	Report(sentence string, r proto.Message) error
}

// Acknowledgement is a response with a header.
type Acknowledgement interface {
	proto.Message
	GetHeader() *pb.ResponseHeader
}

// MemberChange is the response to a change of the membership: the current
// members.
type MemberChange interface {
	Acknowledgement
	GetMembers() []*pb.Member
}

// EndpointHealth is the result of endpoint health for one endpoint.
type EndpointHealth struct {
	Endpoint string `json:"endpoint"`
	Health   bool   `json:"health"`
	// Took is how long the read took, as time.Duration prints it.
	Took string `json:"took"`
	// Error says what is wrong; empty means healthy.
	Error string `json:"error,omitempty"`
}

// EndpointStatus is one endpoint's response to the Status RPC.
type EndpointStatus struct {
	Endpoint string             `json:"Endpoint"`
	Status   *pb.StatusResponse `json:"Status"`
}

// EndpointHashKV is one endpoint's response to the HashKV RPC.
type EndpointHashKV struct {
	Endpoint string             `json:"Endpoint"`
	HashKV   *pb.HashKVResponse `json:"HashKV"`
}

// Options says how to print.
type Options struct {
	// Format is one of [Formats].
	Format string
	// Hex prints byte strings and IDs in hexadecimal.
	Hex bool
	// ValueOnly omits the keys. Only the simple format uses it.
	ValueOnly bool
	// Out receives the printed responses.
	Out io.Writer
	// Err receives what etcdctl writes to stderr: unhealthy endpoints in the
	// simple format.
	Err io.Writer
}

// New returns the printer for o.Format, or an [UnknownFormatError].
func New(o Options) (Printer, error) {
	switch o.Format {
	case FormatSimple:
		return &simple{out: o.Out, err: o.Err, hex: o.Hex, valueOnly: o.ValueOnly}, nil
	case FormatFields:
		return &fields{refusal: refusal{FormatFields}, out: o.Out, hex: o.Hex}, nil
	case FormatJSON:
		return &jsonPrinter{out: o.Out, hex: o.Hex}, nil
	case FormatTable:
		return &table{refusal: refusal{FormatTable}, out: o.Out}, nil
	case FormatProtobuf:
		return &protobuf{refusal: refusal{FormatProtobuf}, out: o.Out}, nil
	}
	return nil, &UnknownFormatError{Format: o.Format}
}

// Check returns an [UnsupportedError] if format cannot show responses of kind k.
// A command calls it before it sends anything, so that no write is made whose
// response cannot be printed.
func Check(format string, k Kind) error {
	var ok bool
	switch format {
	case FormatTable:
		ok = k == Members || k == Endpoints || k == Any
	case FormatProtobuf:
		ok = k != LeaseRevocation && k != Endpoints
	case FormatFields:
		ok = k != Operations
	case FormatSimple, FormatJSON:
		ok = true
	default:
		return &UnknownFormatError{Format: format}
	}
	if !ok {
		return &UnsupportedError{Format: format}
	}
	return nil
}

// UnknownFormatError reports a format that does not exist.
type UnknownFormatError struct {
	// Format is the requested name.
	Format string
}

// Error names the format and the known formats.
func (e *UnknownFormatError) Error() string {
	return fmt.Sprintf("unsupported output format %q for --write-out: use one of %s",
		e.Format, strings.Join(Formats(), ", "))
}

// UnsupportedError reports a format that cannot show the response of a command.
type UnsupportedError struct {
	// Format is the name of the format.
	Format string
}

// Error names the format.
func (e *UnsupportedError) Error() string {
	return e.Format + " not supported as output format of this command"
}

// refusal is a printer that refuses everything. A format that shows only some
// kinds of response embeds it and overrides the methods for those.
type refusal struct{ format string }

// refuse is not inlined, since its many calls would be some kilobytes of machine code.
//
//go:noinline
func (f refusal) refuse() error { return &UnsupportedError{Format: f.format} }

func (f refusal) Put(*pb.PutResponse) error                        { return f.refuse() }
func (f refusal) Get(*pb.RangeResponse) error                      { return f.refuse() }
func (f refusal) Delete(*pb.DeleteRangeResponse) error             { return f.refuse() }
func (f refusal) Txn(*pb.TxnResponse) error                        { return f.refuse() }
func (f refusal) Watch(*pb.WatchResponse) error                    { return f.refuse() }
func (f refusal) LeaseGrant(*pb.LeaseGrantResponse) error          { return f.refuse() }
func (f refusal) LeaseRevoke(int64, *pb.LeaseRevokeResponse) error { return f.refuse() }
func (f refusal) LeaseKeepAlive(*pb.LeaseKeepAliveResponse) error  { return f.refuse() }
func (f refusal) LeaseTimeToLive(*pb.LeaseTimeToLiveResponse, bool) error {
	return f.refuse()
}
func (f refusal) LeaseList(*pb.LeaseLeasesResponse) error { return f.refuse() }
func (f refusal) LeaseEnded(int64) error                  { return nil }
func (f refusal) MemberList(*pb.MemberListResponse) error { return f.refuse() }
func (f refusal) EndpointHealth([]EndpointHealth) error   { return f.refuse() }
func (f refusal) EndpointStatus([]EndpointStatus) error   { return f.refuse() }
func (f refusal) EndpointHashKV([]EndpointHashKV) error   { return f.refuse() }

func (f refusal) MemberAdd(string, string, *pb.MemberAddResponse) error { return f.refuse() }
func (f refusal) MemberChange(string, MemberChange) error               { return f.refuse() }
func (f refusal) Alarm(*pb.AlarmResponse) error                         { return f.refuse() }
func (f refusal) AuthStatus(*pb.AuthStatusResponse) error               { return f.refuse() }
func (f refusal) Role(string, *pb.AuthRoleGetResponse) error            { return f.refuse() }
func (f refusal) RoleList(*pb.AuthRoleListResponse) error               { return f.refuse() }
func (f refusal) User(string, *pb.AuthUserGetResponse) error            { return f.refuse() }
func (f refusal) UserList(*pb.AuthUserListResponse) error               { return f.refuse() }
func (f refusal) Done(string, Acknowledgement) error                    { return f.refuse() }
func (f refusal) Report(string, proto.Message) error                    { return f.refuse() }

// page collects the output for one response, to write it at once.
type page struct{ bytes.Buffer }

// f is not inlined in its many callers, so that the program stays small; nor are the next ones.
//
//go:noinline
func (p *page) f(format string, args ...any) { fmt.Fprintf(&p.Buffer, format, args...) }

//go:noinline
func (p *page) ln(args ...any) { fmt.Fprintln(&p.Buffer, args...) }

func (p *page) to(w io.Writer) error {
	if p.Len() == 0 {
		return nil
	}
	_, err := w.Write(p.Bytes())
	return err
}
