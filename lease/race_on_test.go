//go:build race

package lease_test

// manyLeases is less under the race detector, which makes each renewal some
// twenty times as slow.
const manyLeases = 3_000
