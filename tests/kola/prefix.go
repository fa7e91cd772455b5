// SPDX-License-Identifier: BSD-3-Clause

// A test for kola, the test program of Flatcar Container Linux: it merges the image of a prefix
// on a booted machine, runs a program of it, restarts the machine, and unmerges the image.
//
// Copy this file into kola/tests/sysext of a checkout of flatcar/mantle and build kola there.
// The environment of "kola run" names the image and the program:
//
//	FLATCAR_PREFIX_IMAGE    path of NAME.raw, or its URL, which the machine must reach
//	FLATCAR_PREFIX_COMMAND  program on the target and its arguments, in the words of a shell

package sysext

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/flatcar/mantle/kola/cluster"
	"github.com/flatcar/mantle/kola/register"
	"github.com/flatcar/mantle/platform"
)

func init() {
	register.Register(&register.Test{
		Run:         prefixImage,
		ClusterSize: 1,
		Name:        "sysext.prefix",
		Distros:     []string{"cl"},
	})
}

func prefixImage(c cluster.TestCluster) {
	image := os.Getenv("FLATCAR_PREFIX_IMAGE")
	command := os.Getenv("FLATCAR_PREFIX_COMMAND")
	if image == "" || command == "" {
		c.Skip("FLATCAR_PREFIX_IMAGE and FLATCAR_PREFIX_COMMAND are not set")
	}
	m := c.Machines()[0]
	file := path.Base(image)
	name := strings.TrimSuffix(file, ".raw")
	target := "/etc/extensions/" + file
	program := strings.Fields(command)[0]

	c.MustSSH(m, "test ! -e "+program)
	installImage(c, m, image, target)

	c.MustSSH(m, "sudo systemd-sysext refresh")
	checkMerged(c, m, name, command)

	if err := m.Reboot(); err != nil {
		c.Fatalf("the machine did not restart: %v", err)
	}
	checkMerged(c, m, name, command)

	c.MustSSH(m, "sudo rm "+target+" && sudo systemd-sysext refresh")
	c.MustSSH(m, "test ! -e "+program)
}

// installImage puts the image where systemd-sysext finds it.
func installImage(c cluster.TestCluster, m platform.Machine, image, target string) {
	if strings.HasPrefix(image, "http://") || strings.HasPrefix(image, "https://") {
		c.MustSSH(m, fmt.Sprintf("sudo curl --fail --silent --show-error --output %s '%s'", target, image))
		return
	}
	in, err := os.Open(image)
	if err != nil {
		c.Fatalf("the image cannot be read: %v", err)
	}
	defer in.Close()
	if err := platform.InstallFile(in, m, target); err != nil {
		c.Fatalf("%s cannot be written: %v", target, err)
	}
}

// checkMerged checks that systemd knows the image as merged, and runs the command as the user
// core and as a service.
func checkMerged(c cluster.TestCluster, m platform.Machine, name, command string) {
	c.AssertCmdOutputContains(m, "systemd-sysext status --no-pager", name)
	c.MustSSH(m, "test -e /usr/lib/extension-release.d/extension-release."+name)
	c.MustSSH(m, command)
	c.MustSSH(m, "sudo systemd-run --wait --pipe --property=DynamicUser=yes "+command)
}
