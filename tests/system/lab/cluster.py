"""What every cluster software in the lab has: something that start_node(node) starts on each node."""


class Cluster:
    """To be given `lab` and start_node()."""

    def start(self):
        for node in self.lab:
            self.start_node(node)

    def recover_node(self, node):
        """After a crash: power on."""
        node.reboot()
        node.heal()
        self.start_node(node)
