// SPDX-License-Identifier: BSD-3-Clause

// Package cluster has the part of kola's interface that prefix.go uses, for "go vet".
package cluster

import "github.com/flatcar/mantle/platform"

// TestCluster is the argument of a test.
type TestCluster struct{}

// Machines returns the machines of the test.
func (t *TestCluster) Machines() []platform.Machine { return nil }

// MustSSH runs a command on a machine; the test fails if the command fails.
func (t *TestCluster) MustSSH(m platform.Machine, cmd string) []byte { return nil }

// AssertCmdOutputContains fails the test if the output of a command lacks a text.
func (t *TestCluster) AssertCmdOutputContains(m platform.Machine, cmd string, expected string) {}

// Fatalf ends the test as failed.
func (t *TestCluster) Fatalf(format string, args ...interface{}) {}

// Skip ends the test as skipped.
func (t *TestCluster) Skip(args ...interface{}) {}
