// SPDX-License-Identifier: BSD-3-Clause

// Package register has the part of kola's interface that prefix.go uses, for "go vet".
package register

import "github.com/flatcar/mantle/kola/cluster"

// Test describes a test of kola.
type Test struct {
	Name        string
	Run         func(cluster.TestCluster)
	ClusterSize int
	Distros     []string
}

// Register adds a test.
func Register(t *Test) {}
