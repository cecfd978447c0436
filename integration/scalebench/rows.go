package main

import (
	"slices"
	"time"
)

// rows are all rows, in the order of the tables.
var rows = slices.Concat([]row{
	{name: "leases", text: "%d leases of 15 s kept", size: 10_000, measure: leases},
	{name: "lock", text: "Lock and Unlock, uncontended, %d times", size: 2000, measure: lockUnlock},
	{name: "contended", text: "one lock, %d contenders", size: 32, fixed: true, measure: contended},
	{name: "locks", text: "%d locks held", size: 10_000, measure: held},
	{name: "watches", text: "%d watches", size: 10_000, measure: manyWatches},
	{name: "fanout", text: "%d watches of one prefix", size: 100, fixed: true, measure: fanOut, during: changes},
	{name: "get", text: "Get of %d keys", size: 50_000, prepare: keys(readPrefix), measure: getAll},
	{name: "stream", text: "%d keys streamed", size: 1_000_000, prepare: keys(streamPrefix), measure: streamAll},
	{name: "first", text: "first Get of a new client, %d clients", size: 100, measure: firstGet},
}, cacheRows, fleetRows)

// longRow is what -long measures.
var longRow = row{
	name: "long", text: "%d leases of 60 s, two members killed", size: 100_000, members: 3, once: true, lasts: 10 * time.Minute,
	measure: longLeases, during: killTwo,
}
