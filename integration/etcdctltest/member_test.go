package etcdctltest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/integration/cluster"
)

// members compares the commands that change the membership. A new member's ID
// depends on the time, and members are listed by ID, so a new member's position
// in the list is random. Each tool repeats the scenario until both had the same
// position.
func (b *bench) members(t *testing.T) {
	b.waitUntilMembersMayChange(t)
	const (
		url  = "--peer-urls=‹peer›"
		urls = "--peer-urls=http://127.0.0.1:2,‹peer›"
	)
	for _, format := range []string{"-w=simple", "-w=json", "-w=protobuf", "--hex -w=json", "--hex -w=simple"} {
		f := strings.Fields(format)
		step := func(line string) invocation { return at(words(append(strings.Fields(line), f...)...)) }
		b.membership(t,
			step("member add new --learner "+url),
			step("member list"),
			step("member add other --learner "+url), // the same peer
			step("member promote ‹member›"),         // it was not started
			step("member update ‹member› "+urls),
			step("member list --consistency=s"),
			step("member remove ‹member›"),
			step("member remove ‹member›"),
			step("member update ‹member› "+urls),
			step("member promote ‹member›"),
			step("member list"),
		)
		b.membership(t, step("member add voter "+urls), step("member list"), step("member remove ‹member›"))
	}
	t.Run("formats without words", b.membershipWithoutWords)
	t.Run("unchanged", b.membershipUnchanged)
}

// membershipWithoutWords tests the formats that cannot print a change. etcdctl
// makes the change before it says so; getcd does not make it. The exit status and
// stdout are the same.
func (b *bench) membershipWithoutWords(t *testing.T) {
	for _, format := range []string{"fields", "table", "xml"} {
		for _, line := range []string{"add new --learner --peer-urls=‹peer›", "update ‹member› --peer-urls=http://127.0.0.1:2", "remove ‹member›", "list"} {
			step := at(sh("member " + line + " -w " + format))
			b.agreeInPlace(t, []invocation{step}, func(path string) (int, []result) {
				b.removeStrangers(t)
				defer b.removeStrangers(t)
				peer, place, id := b.unusedPeer(), 0, uint64(0)
				if !strings.HasPrefix(line, "add") {
					r, err := b.members0().MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{peer}, IsLearner: true})
					sent := b.control.again > 0 // and the one before was applied
					if err != nil && (!sent || !errors.Is(rpctypes.Error(err), rpctypes.ErrPeerURLExist)) {
						t.Fatal(err)
					}
					place, id = b.stranger(t)
					if err == nil && id != r.GetMember().GetID() {
						t.Fatalf("the member that is new is %x, want %x", id, r.GetMember().GetID())
					}
				}
				vars := append(slices.Clone(b.vars), "‹member›", strconv.FormatUint(id, 16), "‹peer›", peer)
				r := run(t, path, step, strings.NewReplacer(vars...))
				r.stdout = strings.ReplaceAll(memberID(id)(r.stdout), peer, "‹peer›")
				return place, []result{r}
			})
		}
	}
}

// membershipUnchanged tests commands that change no member.
func (b *bench) membershipUnchanged(t *testing.T) {
	first := b.cluster.Members()[0]
	list, err := b.members0().MemberList(t.Context(), &pb.MemberListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.GetMembers(), func(m *pb.Member) bool { return m.GetID() == first.ID() })
	urls := strings.Join(list.GetMembers()[i].GetPeerURLs(), ",")
	for _, format := range []string{"simple", "json", "protobuf", "json --hex", "fields", "table"} {
		b.same(t, at(sh(fmt.Sprintf("member update %x --peer-urls=%s -w %s", first.ID(), urls, format))))
		b.same(t, at(sh(fmt.Sprintf("member list -w %s", format))))
	}
	for _, line := range []string{
		"member add", "member add a", "member add a --peer-urls=", "member add a b --peer-urls=http://127.0.0.1:1",
		"member add a http://127.0.0.1:1", "member add a --peer-urls=nonsense", "member add a --peer-urls=127.0.0.1:1", "member add a --learner=perhaps",
		"member add a --peer-urls=" + urls, "member add a --learner --peer-urls=" + urls,
		"member remove", "member remove 1 2", "member remove xyz", "member remove 12345", "member remove 0",
		"member update", "member update 1", "member update xyz --peer-urls=http://127.0.0.1:1", "member update 1 2 --peer-urls=http://127.0.0.1:1",
		"member update 12345 --peer-urls=http://127.0.0.1:1",
		fmt.Sprintf("member update %x --peer-urls=nonsense", first.ID()),
		"member promote", "member promote xyz", "member promote 1 2", "member promote 12345", fmt.Sprintf("member promote %x", first.ID()),
		"member list surplus", "member list --consistency=", "member list -w xml",
		"member remove 12345 -w xml", "member promote 12345 -w json",
	} {
		b.same(t, at(sh(line)))
	}
	b.same(t, at(sh("member")).quiet()) // each tool has its own help
}

// promotions promotes a running learner. Each tool gets a different one.
func (b *bench) promotions(t *testing.T) {
	for _, format := range []string{"-w=simple", "-w=json --hex"} {
		i := at(sh("member promote ‹member› " + format))
		b.both(t, []invocation{i}, func(path string) []result { return []result{b.promote(t, path, i)} })
	}
}

func (b *bench) promote(t *testing.T, path string, i invocation) result {
	t.Helper()
	m, err := b.cluster.AddLearner(t.Context(), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	list, err := b.members0().MemberList(t.Context(), &pb.MemberListRequest{Linearizable: true})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(list.GetMembers(), func(l *pb.Member) bool { return l.GetID() == m.ID() })
	vars := append(slices.Clone(b.vars), "‹member›", strconv.FormatUint(m.ID(), 16))
	r := run(t, path, i, strings.NewReplacer(vars...))
	for r.code != 0 && strings.Contains(r.stderr, "in sync with leader") { // it has to catch up first
		r = run(t, path, i, strings.NewReplacer(vars...))
	}
	if err := m.Remove(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r.stdout = strings.NewReplacer(
		m.Name(), "‹name›", m.ClientURL(), "‹client›", strings.Join(list.GetMembers()[at].GetPeerURLs(), ","), "‹peer›",
	).Replace(memberID(m.ID())(r.stdout))
	// The position in the list is random.
	if head, members, ok := strings.Cut(r.stdout, `"members":[{`); ok {
		each := strings.Split(strings.TrimSuffix(members, "}]}\n"), "},{")
		slices.Sort(each)
		r.stdout = head + strings.Join(each, "\n")
	}
	return r
}

// membership runs the steps, the first of which adds a member, with each tool and
// compares them.
func (b *bench) membership(t *testing.T, steps ...invocation) {
	t.Helper()
	b.agreeInPlace(t, steps, func(path string) (int, []result) { return b.playMembership(t, path, steps) })
}

// agreeInPlace runs the steps with both tools until the new member had the same
// position in both lists, and compares these runs.
func (b *bench) agreeInPlace(t *testing.T, steps []invocation, play func(path string) (place int, results []result)) {
	t.Helper()
	const most = 40
	wants, gots := map[int][]result{}, map[int][]result{}
	b.disturbed(t) // from here on
	for range most {
		place, results := play(b.etcdctl)
		wants[place] = results
		place, results = play(b.getcd)
		gots[place] = results
		for place, want := range wants {
			if got, ok := gots[place]; ok {
				if !t.Failed() && !agreed(steps, got, want) && b.disturbed(t, slices.Concat(got, want)...) {
					clear(wants)
					clear(gots)
					break
				}
				for n, i := range steps {
					b.compared++
					diff(t, i, got[n], want[n])
				}
				return
			}
		}
	}
	t.Fatalf("%v: in %d plays the new member was never in the same place of the list for both tools", steps[0], most)
}

var added = regexp.MustCompile(`^Member +([0-9a-f]+) added`)

func (b *bench) playMembership(t *testing.T, path string, steps []invocation) (place int, results []result) {
	t.Helper()
	b.removeStrangers(t)
	defer b.removeStrangers(t)
	var (
		id   uint64
		peer = b.unusedPeer()
		vars = append(slices.Clone(b.vars), "‹peer›", peer)
	)
	for n, i := range steps {
		r := run(t, path, i, strings.NewReplacer(vars...))
		if n == 0 {
			place, id = b.stranger(t)
			if m := added.FindStringSubmatch(r.stdout); m != nil && m[1] != strconv.FormatUint(id, 16) {
				t.Errorf("%v: the member %x was added, and it says %q", i, id, r.stdout)
			}
			vars = append(vars, "‹member›", strconv.FormatUint(id, 16))
		}
		if slices.Contains(i.args, "-w=protobuf") {
			r.stdout = memberIDInMessage(t, id, i.args[1], r.stdout)
		} else {
			r.stdout = memberID(id)(r.stdout)
		}
		r.stdout = strings.ReplaceAll(r.stdout, peer, "‹peer›")
		results = append(results, r)
	}
	return place, results
}

// unusedPeer returns a peer URL that no member has had. etcd derives IDs from the
// URLs and the current second, and no ID may be used again.
func (b *bench) unusedPeer() string {
	b.peers++
	return fmt.Sprintf("http://127.0.0.1:1%04d", b.peers)
}

// memberID replaces a member's ID, in hexadecimal and in decimal.
func memberID(id uint64) rule {
	return strings.NewReplacer(
		fmt.Sprintf("%16x", id), "‹member›",
		strconv.FormatUint(id, 16), "‹member›",
		strconv.FormatUint(id, 10), "‹member›",
	).Replace
}

// memberIDInMessage replaces a member's ID with 1 in an encoded response.
func memberIDInMessage(t *testing.T, id uint64, command, stdout string) string {
	t.Helper()
	var m interface {
		proto.Message
		GetMembers() []*pb.Member
	}
	switch command {
	case "add":
		m = new(pb.MemberAddResponse)
	case "remove":
		m = new(pb.MemberRemoveResponse)
	case "update":
		m = new(pb.MemberUpdateResponse)
	case "promote":
		m = new(pb.MemberPromoteResponse)
	case "list":
		m = new(pb.MemberListResponse)
	}
	if err := proto.Unmarshal([]byte(stdout), m); err != nil {
		t.Fatalf("member %s: %v", command, err)
	}
	encode := func() string {
		out, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if again := encode(); again != stdout {
		t.Errorf("member %s: got %q, want the encoding of %v, %q", command, stdout, m, again)
	}
	all := m.GetMembers()
	if a, ok := m.(*pb.MemberAddResponse); ok && a.GetMember() != nil {
		all = append(slices.Clone(all), a.GetMember())
	}
	for _, member := range all {
		if member.GetID() == id {
			member.ID = 1
		}
	}
	return encode()
}

func (b *bench) members0() pb.ClusterClient { return pb.NewClusterClient(b.control) }

// stranger finds the member that does not belong to the original cluster.
func (b *bench) stranger(t *testing.T) (place int, id uint64) {
	t.Helper()
	r, err := b.members0().MemberList(t.Context(), &pb.MemberListRequest{Linearizable: true})
	if err != nil {
		t.Fatal(err)
	}
	for place, m := range r.GetMembers() {
		if !slices.ContainsFunc(b.cluster.Members(), func(own *cluster.Member) bool { return own.ID() == m.GetID() }) {
			return place, m.GetID()
		}
	}
	return -1, 0
}

func (b *bench) removeStrangers(t *testing.T) {
	t.Helper()
	for {
		_, id := b.stranger(t)
		if id == 0 {
			return
		}
		_, err := b.members0().MemberRemove(t.Context(), &pb.MemberRemoveRequest{ID: id})
		if err != nil && !errors.Is(rpctypes.Error(err), rpctypes.ErrMemberNotFound) {
			t.Fatal(err)
		}
	}
}

// waitUntilMembersMayChange waits until the members have been connected for five
// seconds, as etcd requires.
func (b *bench) waitUntilMembersMayChange(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		_, err := b.members0().MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{b.unusedPeer()}})
		if err == nil {
			b.removeStrangers(t)
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // between two queries
	}
}
