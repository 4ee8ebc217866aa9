# TernGrad (Wen et al.): gradients of -1, 0 and 1, without and with a residual, on MNIST and on Fashion-MNIST. The server
# sends its updates as bf16, but in the last setting of each data set as ternary, too.
for data in '--dataset mnist --lr 0.05' '--dataset fashion-mnist --lr 0.1'; do
    common="$data --workers 4 --epochs 4 --batch 64 --lr-decay 0.5 --timeout 600"
    read -ra words <<<"$data"
    set_name=${words[1]} against='' goal=''
    setting "$set_name fp32" '' tcp_trainer local --codec raw --down-codec raw:type=bf16 $common
    against="$set_name fp32" goal=-0.2
    setting "$set_name ternary" '' tcp_trainer local --codec ternary --down-codec raw:type=bf16 $common
    setting "$set_name residual" '' tcp_trainer local --codec ternary --down-codec raw:type=bf16 --residual $common
    setting "$set_name both ways" '' tcp_trainer local --codec ternary --down-codec ternary --residual $common
done
