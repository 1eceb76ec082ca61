"""Estimators of scikit-learn made of flows; needs `pip install tfp_flows[sklearn]`."""

from tfp_flows.sklearn.flow_density import FlowDensity as FlowDensity
from tfp_flows.sklearn.flow_regressor import FlowRegressor as FlowRegressor
