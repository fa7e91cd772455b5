// SPDX-License-Identifier: BSD-3-Clause

// Package platform has the part of kola's interface that prefix.go uses, for "go vet".
package platform

import "io"

// Machine is a machine of a test.
type Machine interface {
	// Reboot restarts the machine and waits until it answers.
	Reboot() error
}

// InstallFile writes a file on a machine as root.
func InstallFile(in io.Reader, m Machine, to string) error { return nil }
