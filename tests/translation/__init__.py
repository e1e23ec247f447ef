"""Every inbound API against every outbound dialect, through a gateway worker."""
