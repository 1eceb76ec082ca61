"""The distribution of one number of a row, given the entries before it.

Read in this order:

```none
number_maps          numbers to a standardised line or circle, by the form of their map
number_conditionals  densities of numbers on this line, averaged over members
integer_frequencies  the map after which integers have the frequencies of the rows
measured_maps        the map of a column's numbers: its form and scale, from the rows
atoms                numbers that are exactly equal to an earlier number
```
"""
