package main

import (
	"slices"
	"time"
)

// rows are all rows, in the order of the tables.
var rows = slices.Concat([]row{
	{
		name: "leases", text: "%d leases of 15 s kept", size: 10_000, measure: leases,
		notes: "getcd renews each lease within three eighths of its TTL, and spreads the renewals. clientv3 looks every half\n" +
			"second for leases of which a third has passed. Both send about as many requests.",
	},
	{
		name: "lock", text: "Lock and Unlock, uncontended, %d times", size: 2000, measure: lockUnlock,
		notes: "clientv3 unlocks by deleting the key, whoever has put it. getcd does it in a transaction that deletes no other\n" +
			"key than its own, however late a copy arrives, and looks at its lease before it says that the lock is held.",
	},
	{name: "contended", text: "one lock, %d contenders", size: 32, fixed: true, measure: contended},
	{
		name: "locks", text: "%d locks held", size: 10_000, measure: held,
		notes: "A mutex of clientv3 that is held is a key's name: nobody notices when the key is gone. getcd watches the keys\n" +
			"of all, so that Done closes when one is lost.",
	},
	{name: "watches", text: "%d watches", size: 10_000, measure: manyWatches},
	{name: "fanout", text: "%d watches of one prefix", size: 100, fixed: true, measure: fanOut, during: changes},
	{name: "get", text: "Get of %d keys", size: 50_000, prepare: keys(readPrefix), measure: getAll},
	{name: "stream", text: "%d keys streamed", size: 1_000_000, prepare: keys(streamPrefix), measure: streamAll},
	{
		name: "first", text: "first Get of a new client, %d clients", size: 100, measure: firstGet,
		notes: "getcd's first call waits for one round trip more, in which the member says who it is and to which cluster\n" +
			"it belongs: a client never reads from another cluster that has taken over an address. A third of the difference is the\n" +
			"second connection, which is made during that call and shares the two processors with it.",
	},
}, cacheRows, fleetRows)

// longRow is what -long measures.
var longRow = row{
	name: "long", text: "%d leases of 60 s, two members killed", size: 100_000, members: 3, once: true, lasts: 10 * time.Minute,
	measure: longLeases, during: killTwo,
	notes: "CPU is that of the leases that were left: who has lost all has nothing to do any more.",
}
