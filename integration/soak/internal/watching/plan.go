package watching

import (
	"time"

	"github.com/getcd/getcd/kv"
)

// The services that watches are opened on.
const (
	first   = iota // with default options
	second         // another client
	narrow         // with buffers of 64 events and 256 KiB
	calm           // for watches that are reopened repeatedly and request progress
	byNames        // clientv3's names
	services
)

// planned is a spec and its service.
type planned struct {
	spec
	on int
}

func prefix(p string) spec { return spec{key: p, end: kv.GetPrefixRangeEnd(p)} }

func (s spec) with(name string, by api, change func(*spec)) spec {
	s.name, s.api = name, by
	if change != nil {
		change(&s)
	}
	return s
}

// plan returns the watches of a run, except for those that get stuck.
func plan() []planned {
	const ms = time.Millisecond
	progress := []kv.OpOption{kv.WithProgressNotify()}
	fragments := []kv.OpOption{kv.WithFragment()}
	all, a, b, l := prefix(Prefix), prefix(small), prefix(bulk), prefix(leased)
	one, rare := spec{key: smallKey(2, 5)}, spec{key: smallKey(3, 11)}
	part := spec{key: group(1), end: group(3)}
	brief, longer := span{100 * ms, 3000 * ms}, span{200 * ms, 5000 * ms}
	return []planned{
		{a.with("channel", byChannel, nil), first},
		{a.with("channel, previous values, fragments", byChannel, func(s *spec) { s.prevKV, s.opts = true, fragments }), second},
		{a.with("responses from the first revision on", byResponses, func(s *spec) { s.old = true }), first},
		{all.with("events of all keys", byEvents, func(s *spec) { s.prevKV = true }), second},
		{prefix(group(0)).with("events of a group", byEvents, nil), narrow},
		{part.with("responses of a range", byResponses, func(s *spec) { s.opts = progress }), first},
		{one.with("channel of a key", byChannel, func(s *spec) { s.old = true }), second},
		{one.with("channel of a key's deletions", byChannel, func(s *spec) { s.noPuts, s.prevKV = true, true }), first},
		{a.with("responses without deletions", byResponses, func(s *spec) { s.noDeletes = true }), narrow},
		{l.with("channel of leased keys", byChannel, func(s *spec) { s.prevKV = true }), first},
		{l.with("expired keys", byResponses, func(s *spec) { s.noPuts, s.opts = true, progress }), second},
		{rare.with("channel of a key, progress", byChannel, func(s *spec) { s.opts = progress }), narrow},
		{a.with("channel, progress", byChannel, func(s *spec) { s.prevKV, s.opts = true, progress }), second},

		{a.with("slow channel", byChannel, func(s *spec) { s.work = span{0, 100 * ms} }), first},
		{all.with("slow responses of all keys", byResponses, func(s *spec) { s.work, s.opts = span{0, 300 * ms}, fragments }), second},
		{a.with("slow channel, small buffer", byChannel, func(s *spec) { s.work, s.prevKV = span{0, 1500 * ms}, true }), narrow},
		{b.with("slow responses of large values, small buffer", byResponses, func(s *spec) { s.work = span{0, 200 * ms} }), narrow},

		{a.with("random revisions, channel", byChannel, func(s *spec) { s.hop, s.session = true, brief }), first},
		{a.with("random revisions, responses", byResponses, func(s *spec) { s.hop, s.session, s.opts = true, brief, progress }), narrow},
		{part.with("random revisions, events", byEvents, func(s *spec) { s.hop, s.session, s.prevKV = true, brief, true }), second},
		{b.with("random revisions of large values", byResponses, func(s *spec) { s.hop, s.session = true, longer }), second},
		{a.with("random revisions amid progress", byChannel, func(s *spec) { s.hop, s.session = true, span{10 * ms, 200 * ms} }), calm},
		{l.with("random revisions amid progress, responses", byResponses, func(s *spec) { s.hop, s.session = true, span{10 * ms, 200 * ms} }), calm},
		{a.with("reopened channel", byChannel, func(s *spec) { s.session = longer }), second},
		{l.with("reopened responses", byResponses, func(s *spec) { s.session, s.prevKV = longer, true }), first},
		{a.with("reopened events", byEvents, func(s *spec) { s.session, s.work = longer, span{0, 10 * ms} }), narrow},

		{a.with("followed", byFollow, nil), first},
		{l.with("followed with previous values", byFollow, func(s *spec) { s.prevKV, s.opts = true, progress }), narrow},
		{b.with("followed slowly", byFollow, func(s *spec) { s.work = span{0, 200 * ms} }), second},
		{a.with("followed again and again", byFollow, func(s *spec) { s.session = longer }), first},

		{a.with("clientv3's channel", byChannel, nil), byNames},
		{l.with("clientv3's channel, previous values, fragments", byChannel, func(s *spec) { s.prevKV, s.opts = true, fragments }), byNames},
		{a.with("clientv3's channel at random revisions", byChannel, func(s *spec) { s.hop, s.session = true, brief }), byNames},
		{a.with("clientv3's slow channel", byChannel, func(s *spec) { s.work = span{0, 200 * ms} }), byNames},
	}
}
