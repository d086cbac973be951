"""All that makes a program of the libraries: settings, data sets, networks, training, tracking, reports."""
